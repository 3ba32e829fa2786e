"""The tests of a program that reads stdin: each is a process, forked from the compiled program.

The process that forks them runs no line of the program. It sees what a shell would see of
`python3 program.py < input > output`: the exit status and the content of a file.
"""

import math
import os
import signal
import types
from collections.abc import Callable
from typing import NoReturn

from ..results import OutputLimit
from .program_run import run_program
from .recursion import RecursionDepth

Result = Callable[[int, int, str], None]
"""Takes a test's index, its exit status (as `os.waitpid` gives it), and what it printed."""
_exit = os._exit


class StdinTests:
    """Runs one compiled program on each stdin."""

    def __init__(
        self,
        code: types.CodeType,
        depth: RecursionDepth,
        fork: Callable[[], int],
        confine: Callable[[int], None],
    ):
        """`fork` as `zygote.fork`; `confine` is given a process's processor time [s] and is called
        in it before the program runs."""
        self.code = code
        self.depth = depth
        self.fork = fork
        self.confine = confine

    def run(
        self,
        inputs: list[str],
        cpu_seconds: int,
        test_seconds: int | None,
        output_bytes: int,
        report: Callable[[int, BaseException], None],
        result: Result,
    ) -> None:
        """Run all tests, or until their processor time, or that of one test, is used up.

        `report` is called in a test's process with the exception that ends it, `result` in this
        process after the test's end.

        Raises:
            OutputLimit: a test has printed more than `output_bytes`, or `result` raises it.
            OSError: a test's process could not be forked or confined: the sandbox failed.
        """
        stdin, stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
        # A test's process writes a byte when it is confined, and closes both ends before it runs
        # the program, which so can neither take the byte back nor write one for a later test.
        started, start = os.pipe()
        os.set_blocking(started, False)
        used = 0.0
        for index, text in enumerate(inputs):
            _rewrite(stdin, text.encode("utf-8", "surrogatepass"))
            _rewrite(stdout, b"")
            # Opened anew, as a shell opens files: no test sees flags or positions of another's.
            files = (_reopen(stdin, os.O_RDONLY), _reopen(stdout, os.O_WRONLY))
            left = max(1, math.ceil(cpu_seconds - used))
            left = left if test_seconds is None else min(left, test_seconds)
            process = self.fork()
            if process == 0:
                self._run_in_child(files, (stdin, stdout, started), start, left, index, report)
            for file in files:
                os.close(file)
            _, status, usage = os.wait4(process, 0)
            os.read(started, 1)  # BlockingIOError without the byte
            own = usage.ru_utime + usage.ru_stime
            used += own
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and own >= left:
                status = int(signal.SIGXCPU)  # it had ignored the signal, which comes 1 s earlier
            size = os.fstat(stdout).st_size
            if size > output_bytes:
                raise OutputLimit
            printed = os.pread(stdout, size, 0)
            result(index, status, printed.decode("utf-8", "replace"))
            if status == signal.SIGXCPU:
                return
            if used >= cpu_seconds and index + 1 < len(inputs):
                result(index + 1, int(signal.SIGXCPU), "")
                return

    def _run_in_child(
        self,
        files: tuple[int, int],
        others: tuple[int, ...],
        start: int,
        cpu_seconds: int,
        index: int,
        report: Callable[[int, BaseException], None],
    ) -> NoReturn:
        status = 1
        try:
            self.confine(cpu_seconds)
            for number, file in enumerate(files):
                os.dup2(file, number)
            for file in (*files, *others):
                os.close(file)
            os.write(start, b"+")
            os.close(start)
            status = run_program(self.code, self.depth, lambda error: report(index, error))
        finally:
            _exit(status)


def memory_file(item: tuple[str, str]) -> str:
    """A new file of this name and text that lives as long as the process; returns its path."""
    name, text = item
    file = os.memfd_create(name)
    _rewrite(file, text.encode("utf-8", "surrogatepass"))
    return f"/proc/self/fd/{file}"


def _reopen(file: int, flags: int) -> int:
    return os.open(f"/proc/self/fd/{file}", flags | os.O_CLOEXEC)


def _rewrite(file: int, content: bytes) -> None:
    os.ftruncate(file, 0)
    view, at = memoryview(content), 0
    while at < len(content):
        at += os.pwrite(file, view[at:], at)
