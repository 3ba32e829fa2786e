"""Test inputs as they travel; encoded once per problem, as each is asked many times."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from curriculum.problem import Test
from sandbox.runner import values

KEPT = 256
KEPT_CHARS = 32 << 20
Tests = tuple[Test, ...]


class InputCache:
    """The encoded inputs of the tests asked last, as long as they are the same objects."""

    def __init__(self) -> None:
        # The tests are kept too, so that no other tuple can come to have the same identity.
        self._kept: OrderedDict[tuple[int, bool], tuple[Tests, list[str]]] = OrderedDict()
        self._chars = 0

    def encoded(self, fn_name: str | None, tests: Tests) -> list[str]:
        """JSON text per test; raises ValueError, naming the test, for what cannot be sent."""
        key = (id(tests), fn_name is None)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        encoded = [_encode(fn_name, test, index) for index, test in enumerate(tests)]
        self._kept[key] = (tests, encoded)
        self._chars += sum(map(len, encoded))
        while len(self._kept) > KEPT or self._chars > KEPT_CHARS:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._chars -= sum(map(len, oldest))
        return encoded


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
