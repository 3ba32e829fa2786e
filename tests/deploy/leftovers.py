"""Which processes a command under test left behind."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator

import psutil


class Leftovers:
    """The processes that come from commands started with `environment`, told by it.

    Children inherit it. A process that sets its title, as Ray's workers in Python do, overwrites
    its own variables, and is told by its parents', or by `note` while it had any.
    """

    def __init__(self) -> None:
        self._mark = f"STEPCODER_TEST_{uuid.uuid4().hex}"
        self._known: set[psutil.Process] = set()

    @property
    def environment(self) -> dict[str, str]:
        """To be added to the commands' environment."""
        return {self._mark: "1"}

    def note(self) -> None:
        """Remember what runs now, so that it is told later without its parents."""
        self._known.update(self._marked())

    def left(self, within_s: float = 10.0) -> list[str]:
        """What of these processes still runs after at most `within_s` seconds."""
        deadline = time.monotonic() + within_s
        while True:
            self.note()
            stay = [text for process in self._known if (text := _described(process))]
            if not stay or time.monotonic() > deadline:
                return stay
            time.sleep(0.2)

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(self._has_mark(each) for each in (process, *process.parents())):
                    yield process

    def _has_mark(self, process: psutil.Process) -> bool:
        try:
            return self._mark in process.environ()
        except psutil.AccessDenied:  # an init that is not ours
            return False


def _described(process: psutil.Process) -> str | None:
    """What a live process is; None for one that has ended.

    A zombie that waits for a slow init to collect it has ended.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return f"{process} of {process.ppid()}: {' '.join(process.cmdline())}"
    return None
