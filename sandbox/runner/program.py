"""A compiled program, and the three ways in which it runs on its tests."""

import atexit
import gc
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from . import values
from .results import OutputLimit

FILENAME = "<program>"
TESTS_FILENAME = "<tests>"
MESSAGE_CHARS = 500

Emit = Callable[[str, int, str], None]
"""Adds one record: kind, test index, JSON text; see `child`. Raises `OutputLimit`."""


class LoadedProgram:
    """One compiled program, which runs in one of three ways and emits a record for each test.

    Every method may raise `OutputLimit`; whatever the program raises is a record.
    """

    def __init__(self, code: types.CodeType, lines: list[int], emit: Emit, opens_files: bool):
        self.code = code
        self.lines = lines
        """The source line (1-based) of each statement, by statement id less one."""
        self.emit = emit
        self.opens_files = opens_files
        """Whether the program may hold files of its own over descriptors 0 and 1."""

    def call_function(
        self, name: str, inputs: list[Any], exact: bool, result_argument: int | None
    ) -> None:
        """Execute the program once and call its function on each `[arguments, keywords]`.

        A test's result is what the function returns, or what it left in the argument at position
        `result_argument` (keywords come behind the others); `exact`: see `values.dumps_result`.
        """
        namespace = _module("solution")
        try:
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
        namespace = _module("solution")
        try:
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

    def run_script(self, inputs: list[str], files: tuple[int, int], output_bytes: int) -> None:
        """Run the program from its first line on each stdin."""
        stdin, stdout = files
        for index, text in enumerate(inputs):
            _rewrite(stdin, text.encode("utf-8", "surrogatepass"))
            _rewrite(stdout, b"")
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            _open_standard_files()
            error = self._run_once()
            failure = error and self._describe(error)
            if self.opens_files:
                error = None  # its traceback refers to the program's files
                _release_standard_files()
            if failure is not None:
                self.emit("e", index, failure)
                continue
            size = os.fstat(stdout).st_size
            if size > output_bytes:
                raise OutputLimit
            printed = os.pread(stdout, size, 0).decode("utf-8", "replace")
            self.emit("o", index, json.dumps(printed))

    def _run_once(self) -> BaseException | None:
        """Run the program as `__main__`; returns what it raised, if that is a failure."""
        error = None
        try:
            exec(self.code, _module("__main__"))
        except SystemExit as stop:
            if stop.code not in (None, 0):
                error = stop
        except OutputLimit:
            raise
        except BaseException as raised:
            error = raised
        try:
            _finish_threads()
            # Private, but the only way to run them before the interpreter itself exits.
            atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
            sys.stdout.flush()
            if sys.__stdout__ is not sys.stdout and not getattr(sys.__stdout__, "closed", True):
                sys.__stdout__.flush()  # type: ignore[union-attr]
        except BaseException as raised:
            error = error or raised
        return error

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
        return json.dumps([type(error).__name__[:100], message, line])


def _tests_code(text: str) -> types.CodeType:
    return compile(text, TESTS_FILENAME, "exec", dont_inherit=True)


def _raised_by_tests(error: BaseException) -> bool:
    """Whether the innermost statement is one of the tests'."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and step.tb_frame.f_code.co_filename == TESTS_FILENAME


def _open_standard_files() -> None:
    text: Any = {"encoding": "utf-8", "errors": "surrogateescape", "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, **text)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", newline="\n", **text)  # noqa: SIM115


def _release_standard_files() -> None:
    """Drop every reference to the program's own files over descriptors 0 and 1.

    So they are flushed and closed, as they would be when an interpreter exits, before the next
    test's files get these descriptors.
    """
    sys.modules["__main__"].__dict__.clear()
    sys.stdin = sys.__stdin__ = sys.stdout = sys.__stdout__ = None  # type: ignore[misc,assignment]
    gc.collect()


def _module(name: str) -> dict[str, Any]:
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def _rewrite(file: int, content: bytes) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    while content:
        content = content[os.write(file, content) :]
    os.lseek(file, 0, os.SEEK_SET)


def _finish_threads() -> None:
    """Wait for the non-daemon threads, as an interpreter does when it exits."""
    threading = sys.modules.get("threading")
    if threading is not None:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
