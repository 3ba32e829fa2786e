"""Monkey: kills a random part of a running system at intervals, as its seeded plan says."""

from __future__ import annotations

import logging
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import psutil
from docker.errors import APIError

from deploy.cluster.simulated import SimulatedCluster
from deploy.errors import ClusterError
from sandbox import SandboxError
from sandbox.backends.docker_client import connect
from sandbox.backends.owner import RUN_LABEL

KINDS = (
    "rollout", "engine", "collector", "sandbox", "container", "learner", "node", "driver",
)  # fmt: skip
"""What can be killed: an actor's process of four kinds, a vLLM engine's process, a sandbox
container, a whole node, the driver."""
NODE_DOWN_S = 3.0
"""Time after which a killed node is started again [seconds]."""
READY_LINE = re.compile(r"^ready: ")
"""The line that a driver prints once every actor is loaded."""
STEP_LINE = re.compile(r"^step +\d+/\d+ ")
"""The line that a driver prints after each step."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is killed, and when."""

    interval_s: float
    """Time from one kill to the next [seconds]."""
    kinds: Sequence[str]
    """What may be killed, of `KINDS`."""
    seed: int
    """Seed of the choices."""
    max_kills: int | None = None
    """Kills after which no more follow; None sets no limit."""


class Driver(Protocol):
    """The driver's process."""

    pid: int

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        ...


@dataclass(frozen=True)
class Kill:
    """What was killed."""

    victim: str
    """Process id, container name or node name."""
    sets_run_back: bool = False
    """Whether the run continues from its last checkpoint: the driver or a learner rank died."""


class Monkey:
    """Kills one part at each interval.

    The caller passes every line that the driver prints to `on_line` and calls `tick` several times
    a second.

        waiting for READY_LINE --> killing <--> waiting for STEP_LINE
                                           (after a kill that set the run back)

    The two waits make progress certain: without them a run that takes longer to load, or to go
    back, than the interval would be killed again before its next step, for ever.
    """

    def __init__(
        self,
        cluster: SimulatedCluster,
        run: str,
        plan: Plan,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kills: Counter[str] = Counter()
        """Kills by kind."""
        self._cluster, self._run, self._plan, self._clock = cluster, run, plan, clock
        self._random = random.Random(plan.seed)
        self._next_kill_at: float | None = None
        """None while waiting for `_awaited_line`."""
        self._awaited_line = READY_LINE
        self._down_node: str | None = None
        self._node_start_at = 0.0

    def on_line(self, line: str) -> None:
        """Take a line that the driver printed; the awaited one starts the next interval."""
        if self._next_kill_at is None and self._awaited_line.match(line):
            self._next_kill_at = self._clock() + self._plan.interval_s

    def tick(self, driver: Driver) -> None:
        """Start a killed node again if its time has come, then kill if the interval is over."""
        now = self._clock()
        if self._down_node is not None and now >= self._node_start_at:
            self._start_node(self._down_node)
        if self._next_kill_at is None or now < self._next_kill_at:
            return
        if self.kills.total() == self._plan.max_kills:
            return
        self._next_kill_at = now + self._plan.interval_s
        # In random order until one kind has something to kill.
        for kind in self._random.sample(self._plan.kinds, len(self._plan.kinds)):
            if kill := self._kill(kind, driver):
                self.kills[kind] += 1
                logger.info("monkey: killed %s %s", kind, kill.victim)
                if kill.sets_run_back:
                    self._next_kill_at, self._awaited_line = None, STEP_LINE
                return

    def _start_node(self, name: str) -> None:
        try:
            self._cluster.start(name)
        except ClusterError as error:
            logger.warning("monkey: %s; trying again", error)
            self._node_start_at = self._clock() + NODE_DOWN_S
        else:
            logger.info("monkey: started node %s again", name)
            self._down_node = None

    def _kill(self, kind: str, driver: Driver) -> Kill | None:
        """Kill one part of `kind`; None where there is none."""
        if kind == "driver":
            driver.kill()
            return Kill(str(driver.pid), sets_run_back=True)
        if kind == "node":
            return self._kill_node()
        if kind == "container":
            return self._kill_container()
        return self._kill_process(kind)

    def _kill_node(self) -> Kill | None:
        if self._down_node is not None:  # one at a time: the rest must have room for the run
            return None
        name = self._random.choice(sorted(self._cluster.nodes))
        had_learner = bool(self._cluster.actors("LearnerWorker", name))
        self._cluster.kill(name)
        self._down_node, self._node_start_at = name, self._clock() + NODE_DOWN_S
        return Kill(name, sets_run_back=had_learner)

    def _kill_process(self, kind: str) -> Kill | None:
        processes = {
            "rollout": lambda: self._cluster.actors("RolloutWorker"),
            "engine": self._cluster.engines,
            "collector": lambda: self._cluster.actors("CollectorWorker"),
            "sandbox": lambda: self._cluster.actors("SandboxWorker"),
            "learner": lambda: self._cluster.actors("LearnerWorker"),
        }[kind]()
        if not processes:
            return None
        victim = self._random.choice(sorted(processes, key=lambda process: process.pid))
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return None
        return Kill(str(victim.pid), sets_run_back=kind == "learner")

    def _kill_container(self) -> Kill | None:
        try:
            engine = connect(timeout=10)
        except SandboxError:
            return None
        try:
            containers = engine.containers.list(
                filters={"label": f"{RUN_LABEL}={self._run}"}, ignore_removed=True
            )
            if not containers:
                return None
            by_name = {str(container.name): container for container in containers}
            name = self._random.choice(sorted(by_name))
            by_name[name].kill()
            return Kill(name)
        except APIError:  # it ended before it could be killed
            return None
        finally:
            engine.close()
