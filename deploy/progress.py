"""StageProgress: how far a long command is, for a person who waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import TaskID

from deploy.logs import CONSOLE, new_progress_bars

LINE_INTERVAL_S = 5.0
"""Least time between two log lines of one stage where there is no terminal [seconds]."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class StageProgress:
    """Shows the stages of a command and the steps done in each; a context.

    On a terminal every stage is a bar with the time left. Elsewhere a stage is a log line when it
    begins, one every `LINE_INTERVAL_S` and one when it is complete. `step` may be called from
    several threads.

    Example:
        with StageProgress() as progress:
            progress.begin("deadlines", 84)
            for job in jobs:
                sandbox.run(job)
                progress.step()
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        console = console or CONSOLE
        self._bars = new_progress_bars(console) if console.is_terminal else None
        self._bar: TaskID | None = None
        self._clock = clock
        self._lock = threading.Lock()

    def __enter__(self) -> StageProgress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def begin(self, stage: str, total: int | None = None, done: int = 0) -> None:
        """Begin a stage of `total` steps, of which `done` were done before this process.

        None: the number is not known.
        """
        self._stage, self._total, self._done, self._done_before = stage, total, done, done
        self._began = self._last_line = self._clock()
        if self._bars:
            self._bar = self._bars.add_task(stage, total=total, completed=done)
        else:
            logger.info("%s ...", stage)

    def step(self, note: str = "") -> None:
        """Count one more step of the stage.

        Args:
            note: what is known so far, in a few words; shown beside the count.
        """
        with self._lock:
            self._done += 1
            if self._bars and self._bar is not None:
                shown = f"{self._stage}, {note}" if note else self._stage
                self._bars.update(self._bar, advance=1, description=shown)
            elif self._line_is_due():
                self._last_line = self._clock()
                if self._total is None:
                    logger.info("%s: %d", self._stage, self._done)
                    return
                per_step = (self._last_line - self._began) / (self._done - self._done_before)
                left = per_step * (self._total - self._done)
                count = f"{self._done} of {self._total}{note and f', {note}'}"
                logger.info("%s: %s, %.0f s left", self._stage, count, left)

    def counting(self, items: Iterable[T]) -> Iterator[T]:
        """The same items; each is a step once the next is asked for."""
        for item in items:
            yield item
            self.step()

    def _line_is_due(self) -> bool:
        return self._done == self._total or self._clock() - self._last_line >= LINE_INTERVAL_S
