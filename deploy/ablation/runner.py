"""Runs what is left of a grid: each run a `stepcoder train` of its own, several at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deploy.ablation.progress import GridProgress
from deploy.ablation.units import Layout, State, Unit
from deploy.errors import DeployError
from deploy.versions import ROOT

POLL_S = 1.0
"""Time between two looks at the runs [seconds]."""
STOP_TIMEOUT_S = 90.0
"""Time that an interrupted run has to end by itself [seconds]."""
LAST_LINES = 3
"""Lines of a failed run's output that its message shows."""


class RunProcess(Protocol):
    """A run under way."""

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        ...

    def ask_to_stop(self) -> None:
        """Have it end as on Ctrl-C."""
        ...

    def wait(self) -> None:
        """Wait for its end; it is killed where it does not come in time."""
        ...

    def last_words(self) -> str:
        """The last lines that it printed."""
        ...


@dataclass
class Outcome:
    """What became of the runs that were left to do."""

    finished: list[Unit] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Reason by name of the run."""


def run_units(
    units: Sequence[Unit],
    states: Mapping[str, State],
    start: Callable[[Unit, bool], RunProcess],
    store: Callable[[Unit], object],
    progress: GridProgress,
    jobs: int = 1,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Run what is not stored, `jobs` at a time, and store each result as soon as its run ends.

    A run that fails is noted and does not end the others. Whatever interrupts this function ends
    the runs under way first.

    Args:
        units: the runs of the grid, in the order in which they begin.
        states: of each by name.
        start: begins a run; its second argument says whether it goes on from its checkpoint.
        store: stores the result of a run that has ended.
        progress: is told of all of it.
        jobs: runs at a time.
        sleep: waits between two looks.
    """
    outcome = Outcome()
    waiting = deque(unit for unit in units if states[unit.name] is not State.stored)
    under_way: dict[str, tuple[Unit, RunProcess]] = {}
    try:
        while waiting or under_way:
            while waiting and len(under_way) < jobs:
                unit = waiting.popleft()
                steps, state = unit.config.loop.steps, states[unit.name]
                progress.begin(unit.name, steps, _HOW[state])
                if state is State.ended:
                    _store(unit, store, progress, outcome)
                else:
                    under_way[unit.name] = unit, start(unit, state is State.interrupted)
            for name, (unit, process) in list(under_way.items()):
                status = process.poll()
                if status is None:
                    steps = unit.config.loop.steps
                    progress.advance(name, len(unit.folder.step_rows()), steps)
                    continue
                del under_way[name]
                if status == 0:
                    _store(unit, store, progress, outcome)
                else:
                    reason = f"exit status {status}: {process.last_words()}"
                    outcome.failed[name] = reason
                    progress.end(name, reason)
            if under_way:
                sleep(POLL_S)
    finally:
        for _, process in under_way.values():
            process.ask_to_stop()
        for _, process in under_way.values():
            process.wait()
    return outcome


_HOW = {
    State.new: "begins",
    State.interrupted: "goes on from its last checkpoint",
    State.ended: "has ended; its result is stored",
}


def _store(
    unit: Unit, store: Callable[[Unit], object], progress: GridProgress, outcome: Outcome
) -> None:
    try:
        store(unit)
    except (DeployError, OSError) as error:
        outcome.failed[unit.name] = str(error)
        progress.end(unit.name, str(error))
    else:
        outcome.finished.append(unit)
        progress.end(unit.name)


class TrainProcess:
    """A `stepcoder train` with a Ray cluster of its own; what it prints goes to a file."""

    def __init__(self, unit: Unit, resume: bool, layout: Layout) -> None:
        """Start it.

        Raises:
            OSError: the grid's folder cannot be written to.
        """
        profile, self._log = layout.profile(unit), layout.log(unit)
        for path in (profile, self._log):
            path.parent.mkdir(parents=True, exist_ok=True)
        profile.write_text(unit.config.to_yaml())
        command = [sys.executable, "-m", "deploy", "train", "--config", str(profile.absolute())]
        inherited = os.environ.get("PYTHONPATH")
        with self._log.open("ab" if resume else "wb") as sink:
            # A group of its own: Ctrl-C reaches it once, from this process.
            self._process = subprocess.Popen(
                [*command, "--resume" if resume else "--overwrite"],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), inherited])),
                    "PYTHONUNBUFFERED": "1",
                    "RAY_AUTH_MODE": "token",
                },
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def poll(self) -> int | None:
        """As `RunProcess`."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """As `RunProcess`."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """As `RunProcess`."""
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """As `RunProcess`."""
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line]
        return "; ".join(lines[-LAST_LINES:]) + f" (all of it in {self._log})"
