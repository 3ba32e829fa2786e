"""The encoding of test inputs that are sent to a runner."""

import json
from collections.abc import Sequence

from curriculum.problem import Test
from sandbox.runner import values
from sandbox.runner.values import Value


def encode_inputs(fn_name: str | None, tests: Sequence[Test]) -> list[str]:
    """The JSON text of each test's input, as `sandbox.runner.values` decodes it.

    `fn_name` is None for programs that read stdin.

    Raises:
        ValueError: an input or an expected output cannot be used; names the test.
    """
    encode = _encode_stdin if fn_name is None else _encode_arguments
    return [encode(test, index) for index, test in enumerate(tests)]


def _encode_stdin(test: Test, index: int) -> str:
    lines: Value = test.input
    if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
        kind = type(lines).__name__
        raise ValueError(f"tests[{index}].input must be text for stdin, not {kind}")
    if not _is_text(test.output):
        kind = type(test.output).__name__
        raise ValueError(f"tests[{index}].output must be text or a list of lines, not {kind}")
    return json.dumps(lines if isinstance(lines, str) else "\n".join(map(str, lines)))


def _encode_arguments(test: Test, index: int) -> str:
    arguments: Value = test.input
    if not isinstance(arguments, (list, tuple)):
        kind = type(arguments).__name__
        raise ValueError(f"tests[{index}].input must be a list of arguments, not {kind}")
    try:
        return values.dumps_exact([list(arguments), test.kwargs])
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"tests[{index}].input: {error}") from error


def _is_text(output: Value) -> bool:
    """Whether this is text or a list of lines; the lines of some data sets are bare numbers."""
    if isinstance(output, (list, tuple)):
        return all(isinstance(line, (str, int, float)) for line in output)
    return isinstance(output, str)
