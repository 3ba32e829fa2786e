"""A compiled program, and how it runs on tests that share one process."""

import json
import types
from collections.abc import Callable
from typing import Any

from . import values
from .interpreter.program_run import make_module
from .interpreter.recursion import RecursionDepth
from .results import OutputLimit

FILENAME = "<program>"
TESTS_FILENAME = "<tests>"
MESSAGE_CHARS = 500

Emit = Callable[[str, int, str], None]
"""Adds one record: kind, test index, JSON text; see `child`. Raises `OutputLimit`."""


class LoadedProgram:
    """One compiled program, which emits a record for each test.

    Every method may raise `OutputLimit`; whatever the program raises is a record.
    """

    def __init__(self, code: types.CodeType, lines: list[int], emit: Emit, depth: RecursionDepth):
        self.code = code
        self.lines = lines
        """The source line (1-based) of each statement, by statement id less one."""
        self.emit = emit
        self.depth = depth

    def call_function(
        self, name: str, inputs: list[Any], exact: bool, result_argument: int | None
    ) -> None:
        """Execute the program once and call its function on each `[arguments, keywords]`.

        A test's result is what the function returns, or what it left in the argument at position
        `result_argument` (keywords come behind the others); `exact`: see `values.dumps_result`.
        """
        namespace = make_module("solution")
        try:
            self.depth.begin()
            exec(self.code, namespace)
            if callable(namespace.get(name)):
                owner = None
            elif callable(getattr(namespace.get("Solution"), name, None)):
                owner = namespace["Solution"]
            else:
                raise NameError(f"the program defines no function {name!r}")
        except OutputLimit:
            raise
        except BaseException as error:
            self.emit("e", -1, self._describe(error))
            return
        for index, (arguments, keywords) in enumerate(inputs):
            try:
                function = getattr(owner(), name) if owner else namespace[name]
                returned = function(*arguments, **keywords)
                if result_argument is not None:
                    returned = [*arguments, *keywords.values()][result_argument]
                # Encoded at once: a later test may change the object.
                values.limit_digits()
                result = values.dumps_result(returned, exact)
            except OutputLimit:
                raise
            except BaseException as error:
                self.emit("e", index, self._describe(error))
            else:
                self.emit("r", index, result)

    def run_assertions(self, setup: str, assertions: list[str]) -> None:
        """Execute the program once, then `setup` and each assertion in its namespace."""
        namespace = make_module("solution")
        try:
            self.depth.begin()
            exec(self.code, namespace)
            exec(_tests_code(setup), namespace)
        except OutputLimit:
            raise
        except BaseException as error:
            self.emit("e", -1, self._describe(error))
            return
        for index, text in enumerate(assertions):
            try:
                exec(_tests_code(text), namespace)
            except OutputLimit:
                raise
            except BaseException as error:
                if isinstance(error, AssertionError) and _raised_by_tests(error):
                    self.emit("f", index, "null")
                else:
                    self.emit("e", index, self._describe(error))
            else:
                self.emit("a", index, "null")

    def emit_error(self, index: int, error: BaseException) -> None:
        """Record what ended the process of a stdin test; called in that process."""
        self.emit("e", index, self._describe(error))

    def emit_output(self, index: int, status: int, printed: str) -> None:
        """Record the end of a stdin test and what it had printed."""
        self.emit("o", index, json.dumps([status, printed]))

    def _describe(self, error: BaseException) -> str:
        """Type, message and line of the innermost statement of the program, as JSON."""
        line, step = None, error.__traceback__
        while step is not None:
            of_program = step.tb_frame.f_code.co_filename == FILENAME
            if of_program and 0 < step.tb_lineno <= len(self.lines):
                line = self.lines[step.tb_lineno - 1]
            step = step.tb_next
        try:
            message = str(error)[:MESSAGE_CHARS]
        except BaseException as second:
            message = f"<its message raised {type(second).__name__}>"
        # numpy has a type of its own for what is one.
        kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__[:100]
        return json.dumps([kind, message, line])


def _tests_code(text: str) -> types.CodeType:
    return compile(text, TESTS_FILENAME, "exec", dont_inherit=True)


def _raised_by_tests(error: BaseException) -> bool:
    """Whether the innermost statement is one of the tests'."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and step.tb_frame.f_code.co_filename == TESTS_FILENAME
