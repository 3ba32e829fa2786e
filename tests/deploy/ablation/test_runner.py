"""Running a grid with processes that a script plays: order, failures, interruptions."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deploy.ablation.progress import GridProgress
from deploy.ablation.runner import Outcome, run_units
from deploy.ablation.units import State, Unit
from deploy.errors import ConfigError
from tests.deploy.ablation.test_units import units


class Played:
    """A run that takes so many looks and ends with a status."""

    def __init__(self, looks: int, status: int, journal: list[str], name: str) -> None:
        self.looks, self.status, self.journal, self.name = looks, status, journal, name

    def poll(self) -> int | None:
        self.looks -= 1
        if self.looks > 0:
            return None
        self.journal.append(f"end {self.name}")
        return self.status

    def ask_to_stop(self) -> None:
        self.journal.append(f"stop {self.name}")

    def wait(self) -> None:
        self.journal.append(f"wait {self.name}")

    def last_words(self) -> str:
        return "stepcoder: no memory"


class Stage:
    """Runs that a test plays, and the journal of what happened."""

    def __init__(self, root: Path, looks: dict[str, int], failing: tuple[str, ...] = ()) -> None:
        self.units = units(root, arms="full,no-fgo,ppo", seeds="1")
        self.looks, self.failing = looks, failing
        self.journal: list[str] = []
        self.unstorable: tuple[str, ...] = ()
        self.time = 0.0

    def start(self, unit: Unit, resume: bool) -> Played:
        self.journal.append(f"{'resume' if resume else 'start'} {unit.name}")
        status = int(unit.name in self.failing)
        return Played(self.looks.get(unit.name, 1), status, self.journal, unit.name)

    def store(self, unit: Unit) -> None:
        if unit.name in self.unstorable:
            raise ConfigError("not the folder of a finished run")
        self.journal.append(f"store {unit.name}")

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def run(self, states: dict[str, State] | None = None, jobs: int = 1) -> Outcome:
        states = {unit.name: State.new for unit in self.units} | (states or {})
        console = Console(file=io.StringIO(), force_terminal=False)
        finished = list(states.values()).count(State.stored)
        with GridProgress(len(states), finished, console, lambda: self.time) as progress:
            return run_units(self.units, states, self.start, self.store, progress, jobs, self.sleep)


def test_runs_follow_each_other_and_each_is_stored_at_its_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"full-1": 3})
    outcome = stage.run()
    assert stage.journal == [
        line for name in ("full-1", "no-fgo-1", "ppo-1")
        for line in (f"start {name}", f"end {name}", f"store {name}")
    ]  # fmt: skip
    assert [unit.name for unit in outcome.finished] == ["full-1", "no-fgo-1", "ppo-1"]
    assert outcome.failed == {}


def test_stored_runs_are_skipped_and_interrupted_ones_go_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})
    stage.run({"full-1": State.stored, "no-fgo-1": State.interrupted, "ppo-1": State.ended})
    assert stage.journal == ["resume no-fgo-1", "end no-fgo-1", "store no-fgo-1", "store ppo-1"]


def test_several_run_at_a_time_and_the_next_begins_when_one_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"full-1": 4, "no-fgo-1": 2, "ppo-1": 1})
    stage.run(jobs=2)
    assert stage.journal[:2] == ["start full-1", "start no-fgo-1"]
    ends = [line for line in stage.journal if line.startswith("end")]
    assert ends == ["end no-fgo-1", "end ppo-1", "end full-1"]


def test_a_run_that_fails_is_told_and_does_not_end_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path, {}, failing=("full-1",))
    stage.unstorable = ("no-fgo-1",)
    outcome = stage.run()
    assert outcome.failed == {
        "full-1": "exit status 1: stepcoder: no memory",
        "no-fgo-1": "not the folder of a finished run",
    }
    assert [unit.name for unit in outcome.finished] == ["ppo-1"]
    assert "full-1 failed: exit status 1" in caplog.text


def test_an_interruption_stops_the_runs_under_way_before_it_goes_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"full-1": 9, "no-fgo-1": 9})
    looks = iter([None, None, KeyboardInterrupt()])

    def sleep(_: float) -> None:
        if (raised := next(looks)) is not None:
            raise raised

    stage.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stage.run(jobs=2)
    assert stage.journal == [
        "start full-1", "start no-fgo-1",
        "stop full-1", "stop no-fgo-1", "wait full-1", "wait no-fgo-1",
    ]  # fmt: skip


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def test_the_time_left_is_that_of_the_work_done_here(clock: list[float]) -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with GridProgress(10, 4, console, lambda: clock[0]) as progress:
        assert progress.left_s is None
        progress.begin("a", 40, "begins")
        clock[0] = 100.0
        progress.advance("a", 20, 40)
        assert progress.left_s == pytest.approx(100 / 0.5 * 5.5)
        progress.end("a")
        clock[0] = 200.0
        progress.begin("b", 40, "begins")
        progress.end("b", "exit status 1")
        assert progress.left_s == pytest.approx(200 / 2 * 4)
