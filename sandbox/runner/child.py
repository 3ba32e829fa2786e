"""The child of one job: runs the program on each input and records what came of it.

It knows inputs, never expected outputs: all that it, or a program that takes it over, can state is
what came out. Records are lines `KIND INDEX JSON` in shared memory, which survives any death:

    p 0 [[start, end, alias], ...]         the program's statements, before any of it ran
    c 0 [type, message, line]              it does not compile
    r i value                              call-based test i returned
    o i text                               program test i ended and had printed this
    a i null                               assertion i held
    f i null                               assertion i did not
    e i [type, message, line or null]      test i raised; i = -1: while the program was loaded
    z 0 null                               the end: every test was run
"""

import atexit
import gc
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from . import statements, tracing, values

FILENAME = "<program>"
TESTS_FILENAME = "<tests>"
MESSAGE_CHARS = 500


class OutputLimit(BaseException):
    """The records are full; not an Exception, so that programs seldom catch it."""


Emit = Callable[[str, int, str], None]


def memory_files() -> tuple[int, int]:
    """Files for stdin and stdout, as descriptors; made before such system calls are denied."""
    return os.memfd_create("stdin"), os.memfd_create("stdout")


class Program:
    """One compiled program and where its records go."""

    def __init__(self, code: types.CodeType, lines: list[int], emit: Emit, opens_files: bool):
        self.opens_files = opens_files
        self.code = code
        self.lines = lines
        self.emit = emit

    def calls(self, name: str, inputs: list[Any]) -> None:
        """Load the program once and call its function on each `[arguments, keywords]`."""
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
            self.emit("e", -1, self.describe(error))
            return
        for index, (arguments, keywords) in enumerate(inputs):
            try:
                function = getattr(owner(), name) if owner else namespace[name]
                returned = function(*arguments, **keywords)
                values.limit_digits()
                result = values.dumps_result(returned)
            except OutputLimit:
                raise
            except BaseException as error:
                self.emit("e", index, self.describe(error))
            else:
                self.emit("r", index, result)

    def holds(self, setup: str, assertions: list[str]) -> None:
        """Load the program once and run assertions among its names."""
        namespace = _module("solution")
        try:
            exec(self.code, namespace)
            exec(_tests_code(setup), namespace)
        except OutputLimit:
            raise
        except BaseException as error:
            self.emit("e", -1, self.describe(error))
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
                    self.emit("e", index, self.describe(error))
            else:
                self.emit("a", index, "null")

    def runs(self, inputs: list[str], files: tuple[int, int], output_bytes: int) -> None:
        """Run the program from its first line on each stdin."""
        stdin, stdout = files
        for index, text in enumerate(inputs):
            _rewrite(stdin, text.encode("utf-8", "surrogatepass"))
            _rewrite(stdout, b"")
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            _open_standard_files()
            error = self.run_once()
            failure = error and self.describe(error)
            if self.opens_files:
                error = None  # its traceback holds what the program held
                _let_go()
            if failure is not None:
                self.emit("e", index, failure)
                continue
            size = os.fstat(stdout).st_size
            if size > output_bytes:
                raise OutputLimit
            printed = os.pread(stdout, size, 0).decode("utf-8", "replace")
            self.emit("o", index, json.dumps(printed))

    def run_once(self) -> BaseException | None:
        """Run the program as `__main__`; what it raised, if that makes it a failure."""
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
            atexit._run_exitfuncs()
            sys.stdout.flush()
            if sys.__stdout__ is not sys.stdout and not getattr(sys.__stdout__, "closed", True):
                sys.__stdout__.flush()  # type: ignore[union-attr]
        except BaseException as raised:
            error = error or raised
        return error

    def describe(self, error: BaseException) -> str:
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


def run(
    job: dict[str, Any],
    emit: Emit,
    tracer: tracing.Tracer | None,
    files: tuple[int, int] | None,
) -> None:
    """Run the job in this process, which ends soon after.

    `tracer` is None where coverage is not asked for; `files` are those of `memory_files`, None
    unless the program reads stdin.
    """
    program = compiled(job["source"], emit)
    if program is None:
        return
    gc.enable()
    if tracer is not None:
        tracer.arm(program.code)
    if job["setup"] is not None:
        program.holds(job["setup"], job["inputs"])
    elif files is None:
        program.calls(job["fn_name"], job["inputs"])
    else:
        program.runs(job["inputs"], files, job["output_bytes"])
    emit("z", 0, "null")


def compiled(source: str, emit: Emit) -> Program | None:
    """The program, its statements emitted; None, with its error emitted, if it does not compile."""
    lines: list[int] = []
    try:
        tree = statements.parse(source)
        numbering = statements.number(tree, source.encode())
        lines = numbering.lines
        code = compile(tree, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = getattr(error, "lineno", None)
        if lines and line is not None:  # found after parsing, so it names a statement
            line = lines[line - 1] if 0 < line <= len(lines) else None
        message = getattr(error, "msg", None) or str(error)
        emit("c", 0, json.dumps([type(error).__name__, message[:MESSAGE_CHARS], line]))
        return None
    emit("p", 0, json.dumps(numbering.spans))
    return Program(code, lines, emit, opens_files="open" in source or "FileIO" in source)


def _tests_code(text: str) -> types.CodeType:
    return compile(text, TESTS_FILENAME, "exec", dont_inherit=True)


def _raised_by_tests(error: BaseException) -> bool:
    """Whether the innermost statement is the tests' own."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and step.tb_frame.f_code.co_filename == TESTS_FILENAME


def _open_standard_files() -> None:
    text: Any = {"encoding": "utf-8", "errors": "surrogateescape", "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, **text)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", newline="\n", **text)  # noqa: SIM115


def _let_go() -> None:
    """Let the program's own files of descriptors 0 and 1 end, as they do when an interpreter ends:
    written out, and closed before the next test's files take these numbers.
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
    """Wait for the threads that an interpreter waits for at its end."""
    threading = sys.modules.get("threading")
    if threading is not None:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
