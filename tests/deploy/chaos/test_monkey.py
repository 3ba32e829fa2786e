"""The monkey kills what its plan says, when it says, on a fake clock and a fake cluster."""

from __future__ import annotations

import logging
import signal
from typing import Any

import pytest

from deploy.chaos.monkey import NODE_DOWN_S, Monkey, Plan
from deploy.cluster.simulated import SimulatedCluster
from deploy.errors import ClusterError

INTERVAL_S = 10.0
READY, STEP = "ready: 1 rollout worker(s)", "step  3/12  reward +0.10"


class FakeProcess:
    """A process, or a driver, that notes its death."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.signals: list[int] = []

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def kill(self) -> None:
        self.signals.append(signal.SIGKILL)


class FakeCluster(SimulatedCluster):
    """Three nodes; `processes` says which actors live, `events` what was done to nodes."""

    def __init__(self, processes: dict[str, list[FakeProcess]]) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.nodes = dict.fromkeys(("node-a", "node-b", "node-l"))
        self.processes = processes
        self.events: list[str] = []
        self.failing_starts = 0

    def actors(self, kind: str, node: str | None = None) -> list[Any]:
        if node not in (None, "node-l") and kind == "LearnerWorker":
            return []
        return list(self.processes.get(kind, []))

    def engines(self) -> list[Any]:
        return list(self.processes.get("engine", []))

    def kill(self, name: str) -> None:
        self.events.append(f"kill {name}")
        del self.nodes[name]

    def start(self, name: str) -> None:
        if self.failing_starts:
            self.failing_starts -= 1
            raise ClusterError(f"simulated node {name}: too slow")
        self.events.append(f"start {name}")
        self.nodes[name] = None


class Stage:
    """A monkey with its fake surroundings."""

    def __init__(
        self, *kinds: str, max_kills: int | None = None, seed: int = 1, **processes: list[Any]
    ) -> None:
        self.now = 100.0
        self.driver = FakeProcess(7)
        self.cluster = FakeCluster(processes)
        plan = Plan(INTERVAL_S, kinds, seed, max_kills)
        self.monkey = Monkey(self.cluster, "run", plan, clock=lambda: self.now)

    def after(self, seconds: float) -> dict[str, int]:
        """Let time pass, tick; the kills so far."""
        self.now += seconds
        self.monkey.tick(self.driver)
        return dict(self.monkey.kills)


def test_nothing_is_killed_before_the_run_is_ready_and_one_interval_is_over() -> None:
    stage = Stage("sandbox", SandboxWorker=[FakeProcess(1)])
    assert stage.after(1000) == {}
    stage.monkey.on_line("sandbox: programs run in Docker containers")
    assert stage.after(1000) == {}
    stage.monkey.on_line(READY)
    assert stage.after(INTERVAL_S - 0.1) == {}
    assert stage.after(0.1) == {"sandbox": 1}
    assert stage.after(INTERVAL_S - 0.1) == {"sandbox": 1}
    assert stage.after(0.1) == {"sandbox": 2}


@pytest.mark.parametrize(
    ("kind", "processes"),
    [
        ("rollout", "RolloutWorker"),
        ("engine", "engine"),
        ("collector", "CollectorWorker"),
        ("sandbox", "SandboxWorker"),
        ("learner", "LearnerWorker"),
    ],
)
def test_a_process_of_the_kind_is_ended_by_sigkill(kind: str, processes: str) -> None:
    victim = FakeProcess(11)
    living: dict[str, Any] = {processes: [victim]}
    stage = Stage(kind, **living)
    stage.monkey.on_line(READY)
    assert stage.after(INTERVAL_S) == {kind: 1}
    assert victim.signals == [signal.SIGKILL]


@pytest.mark.parametrize("kind", ["driver", "learner"])
def test_after_a_kill_that_sets_the_run_back_the_monkey_waits_for_a_step(kind: str) -> None:
    stage = Stage(kind, LearnerWorker=[FakeProcess(5)])
    stage.monkey.on_line(READY)
    assert stage.after(INTERVAL_S) == {kind: 1}
    stage.monkey.on_line(READY)  # the restarted driver; a step has to follow
    assert stage.after(1000) == {kind: 1}
    stage.monkey.on_line(STEP)
    assert stage.after(INTERVAL_S) == {kind: 2}


def test_a_killed_node_is_started_again_and_only_one_is_down_at_a_time() -> None:
    stage = Stage("node", seed=3)
    stage.monkey.on_line(READY)
    assert stage.after(INTERVAL_S) == {"node": 1}
    [event] = stage.cluster.events
    assert stage.after(NODE_DOWN_S - 0.1) == {"node": 1}
    assert stage.cluster.events == [event]
    stage.after(0.1)
    assert stage.cluster.events == [event, event.replace("kill", "start")]


def test_a_node_that_does_not_come_up_is_started_later(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage("node")
    stage.cluster.failing_starts = 1
    stage.monkey.on_line(READY)
    stage.after(INTERVAL_S)
    stage.after(NODE_DOWN_S)
    assert "too slow; trying again" in caplog.text
    assert len(stage.cluster.nodes) == 2
    stage.after(NODE_DOWN_S)
    assert len(stage.cluster.nodes) == 3


def test_a_second_node_is_not_killed_while_one_is_down() -> None:
    stage = Stage("node")
    stage.cluster.failing_starts = 1000
    stage.monkey.on_line(READY)
    stage.after(INTERVAL_S)
    stage.monkey.on_line(STEP)  # in case the node was the learner's
    for _ in range(5):
        stage.after(INTERVAL_S)
    assert len([event for event in stage.cluster.events if event.startswith("kill")]) == 1


def test_the_learners_node_sets_the_run_back_and_others_do_not() -> None:
    for seed in range(20):
        stage = Stage("node", seed=seed, LearnerWorker=[FakeProcess(5)])
        stage.monkey.on_line(READY)
        stage.after(INTERVAL_S)
        stage.after(NODE_DOWN_S)
        kills = stage.after(1000)["node"]
        assert kills == (1 if stage.cluster.events[0] == "kill node-l" else 2)


def test_a_kind_that_has_nothing_to_kill_leaves_the_turn_to_another() -> None:
    stage = Stage("engine", "sandbox", SandboxWorker=[FakeProcess(1)])
    stage.monkey.on_line(READY)
    for _ in range(4):
        stage.after(INTERVAL_S)
    assert stage.monkey.kills == {"sandbox": 4}


def test_no_more_than_max_kills_are_made() -> None:
    stage = Stage("sandbox", max_kills=2, SandboxWorker=[FakeProcess(1)])
    stage.monkey.on_line(READY)
    for _ in range(5):
        stage.after(INTERVAL_S)
    assert stage.monkey.kills.total() == 2


def test_the_choices_follow_from_the_seed(caplog: pytest.LogCaptureFixture) -> None:
    def victims(seed: int) -> list[str]:
        caplog.clear()
        processes = [FakeProcess(pid) for pid in range(50)]
        stage = Stage("sandbox", "rollout", seed=seed, SandboxWorker=processes,
                      RolloutWorker=processes)  # fmt: skip
        stage.monkey.on_line(READY)
        for _ in range(10):
            stage.after(INTERVAL_S)
        return caplog.messages

    with caplog.at_level(logging.INFO):
        first = list(victims(1))
        assert len(first) == 10
        assert victims(1) == first
        assert victims(2) != first
