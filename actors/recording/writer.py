"""WriterProcess: writes recorded rollouts in a process beside the driver.

Records and compression are the processor's work, 2 ms for a group of 8 samples, which the driver's
event loop and threads would share. The process gets each step's rollouts through a pipe, packed as
collectors and learner made them, and answers when the file is on the disk. It ends with its input,
and so with the driver, however that ends.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from traceback import format_exc
from typing import IO, Any

from actors.recording.rollout_file import StepRollouts, write_rollouts

_LENGTH = 8
"""Bytes of a message's length before it."""
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from actors.recording.writer import serve; serve()"
)
"""The program of the process; its arguments are the folder, and where modules are found."""
_CLOSE_S = 10.0
"""Longest wait for the process to end by itself [seconds]."""


class WriterLost(Exception):
    """The process ended before its answer."""


class WriterProcess:
    """The driver's side; the process starts with the first file, and again after it was lost.

    Only `close` may be called while a file is written.
    """

    def __init__(self, folder: Path) -> None:
        """Write into `folder`."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._busy = False

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.pid if self._process else None

    def write(self, rollouts: StepRollouts) -> None:
        """Write the file of one step; returns when it is on the disk.

        Raises:
            OSError: as for `write_rollouts`.
            WriterLost: the process ended meanwhile; another call starts a new one.
        """
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        self._busy = True
        try:
            _send(process.stdin, rollouts)
            answer = _receive(process.stdout)
        except (BrokenPipeError, EOFError):
            self.close()
            raise WriterLost(
                f"the process that writes them ended with status {process.returncode}"
            ) from None
        finally:
            self._busy = False
        if answer is not None:
            raise answer

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _START, str(self._folder), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is the driver's; this process ends with its input
        )

    def close(self) -> None:
        """End the process; at once where it is writing."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._busy:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what it does not read any more cannot be flushed
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class ThisProcess:
    """Writes in this process, where a process of its own is not worth its start."""

    def __init__(self, folder: Path) -> None:
        """Write into `folder`."""
        self._folder = folder

    def write(self, rollouts: StepRollouts) -> None:
        """Write the file of one step."""
        write_rollouts(self._folder, rollouts)

    def close(self) -> None:
        """Nothing to end."""


def serve() -> None:
    """Write what comes by the standard input; answers with None or the error.

    The end of the input ends the process at once: the driver is gone, and whoever resumes its run
    removes what is left of a file.
    """
    folder, messages = Path(sys.argv[1]), SimpleQueue[StepRollouts]()
    # What a module prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_read, args=(messages,), daemon=True).start()
    while True:
        error: Exception | None = None
        try:
            write_rollouts(folder, messages.get())
        except Exception as raised:
            # Others may not survive the way, and are told with what led to them.
            error = raised if isinstance(raised, OSError) else RuntimeError(format_exc())
        _send(answers, error)


def _read(messages: SimpleQueue[StepRollouts]) -> None:
    with suppress(EOFError):
        while True:
            messages.put(_receive(sys.stdin.buffer))
    os._exit(0)


def _send(pipe: IO[bytes], message: object) -> None:
    packed = pickle.dumps(message, protocol=5)
    pipe.write(len(packed).to_bytes(_LENGTH, "big") + packed)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next message.

    Raises:
        EOFError: there is none, or only a part of one.
    """
    length = int.from_bytes(_exactly(pipe, _LENGTH), "big")
    return pickle.loads(_exactly(pipe, length))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    read = pipe.read(size)
    if len(read) < size:
        raise EOFError
    return read
