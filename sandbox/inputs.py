"""Test inputs as they travel."""

import json
from collections.abc import Sequence
from typing import Any

from curriculum.problem import Test
from sandbox.runner import values


def encoded(fn_name: str | None, tests: Sequence[Test]) -> list[str]:
    """JSON text per test; raises ValueError, naming the test, for what cannot be sent."""
    return [_encode(fn_name, test, index) for index, test in enumerate(tests)]


def _encode(fn_name: str | None, test: Test, index: int) -> str:
    given = test.input
    if fn_name is None:
        if not isinstance(given, Sequence) or not all(isinstance(line, str) for line in given):
            kind = type(given).__name__
            raise ValueError(f"tests[{index}].input must be text for stdin, not {kind}")
        if not _is_text(test.output):
            kind = type(test.output).__name__
            raise ValueError(f"tests[{index}].output must be text or a list of lines, not {kind}")
        return json.dumps(given if isinstance(given, str) else "\n".join(given))
    if not isinstance(given, (list, tuple)):
        kind = type(given).__name__
        raise ValueError(f"tests[{index}].input must be a list of arguments, not {kind}")
    try:
        return values.dumps_exact([list(given), test.kwargs])
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"tests[{index}].input: {error}") from error


def _is_text(output: Any) -> bool:
    """Text, or lines of it; a data set's lines may be bare numbers."""
    if isinstance(output, (list, tuple)):
        return all(isinstance(line, (str, int, float)) for line in output)
    return isinstance(output, str)
