"""GridProgress: how far a grid of runs is, for a person who waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import TaskID

from actors.training.console import clock
from deploy.logs import CONSOLE, new_progress_bars

LINE_INTERVAL_S = 60.0
"""Least time between two lines on the whole grid where there is no terminal [seconds]."""

logger = logging.getLogger(__name__)


class GridProgress:
    """Shows the runs of a grid, finished and under way; a context.

    On a terminal the grid and every run under way are bars; elsewhere there is a line when a run
    begins or ends, and one on the grid every `LINE_INTERVAL_S`. The time left is that of the work
    done since the command began: a run counts by its steps.
    """

    def __init__(
        self,
        runs: int,
        finished: int,
        console: Console | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Runs of the whole grid, and how many of them are stored already."""
        console = console or CONSOLE
        self._bars = new_progress_bars(console) if console.is_terminal else None
        self._clock = clock_s
        self._runs, self._finished, self._failed = runs, finished, 0
        self._done_here = 0
        self._shares: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._grid = TaskID(0)

    def __enter__(self) -> GridProgress:
        self._began = self._last_line = self._clock()
        if self._bars:
            self._bars.start()
            self._grid = self._bars.add_task("grid", total=self._runs, completed=self._finished)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def begin(self, run: str, steps: int, how: str) -> None:
        """A run begins; `how` says whether it is new or goes on."""
        self._shares[run] = 0.0
        logger.info("%s: %s", run, how)
        if self._bars:
            self._tasks[run] = self._bars.add_task(f"  {run}", total=steps)

    def advance(self, run: str, done: int, steps: int) -> None:
        """A run has done so many of its steps."""
        self._shares[run] = done / max(1, steps)
        if self._bars:
            self._bars.update(self._tasks[run], completed=done)
            self._bars.update(self._grid, description=self._line())
        elif self._clock() - self._last_line >= LINE_INTERVAL_S:
            self._last_line = self._clock()
            under_way = ", ".join(f"{name} {share:.0%}" for name, share in self._shares.items())
            logger.info("%s; %s", self._line(), under_way)

    def end(self, run: str, failure: str = "") -> None:
        """A run has ended, with a failure or none."""
        del self._shares[run]
        self._done_here += 1
        self._finished += not failure
        self._failed += bool(failure)
        if failure:
            logger.error("%s failed: %s", run, failure)
        else:
            logger.info("%s is finished; %s", run, self._line())
        if self._bars:
            self._bars.remove_task(self._tasks.pop(run))
            self._bars.update(self._grid, completed=self._finished, description=self._line())

    @property
    def left_s(self) -> float | None:
        """Time that the rest takes at the pace so far [seconds]; None before any work is done."""
        work = self._done_here + sum(self._shares.values())
        rest = self._runs - self._finished - self._failed - sum(self._shares.values())
        return (self._clock() - self._began) / work * rest if work else None

    def _line(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        left = self.left_s
        ends = f", {clock(left)} left" if left else ""
        return f"grid: {self._finished} of {self._runs} runs{failed}{ends}"
