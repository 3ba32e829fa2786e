"""Simulation: the driver, its rounds and steps, over collectors, engines and sandboxes."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.collectors.dispatch import _AHEAD, _REFILL_S, assign
from actors.collectors.handle import CollectorHandle, shares_of_engines
from actors.collectors.messages import GroupOrder
from actors.config import LoopConfig, SandboxPoolConfig
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.ledger import GENERATED, JUDGED, Ledger
from actors.sandboxes.pool import SandboxPool
from actors.training.rounds import Rounds
from actors.training.state import TrainerState
from deploy.bench.fleet.simulator.assumptions import Assumptions
from deploy.bench.fleet.simulator.clock import Clock, Station, Then
from deploy.bench.fleet.simulator.collector import Drawn, SimulatedCollector
from deploy.bench.fleet.simulator.engine import SimulatedEngine

_DELIVERY_S = 5.0
"""Longest wait of a finished group for others, as `CollectorGroup.stream` has it [seconds]."""
_CALLS = 64
"""Calls that the driver makes before it looks at something else."""


class _Subtasks:
    """Samples nothing: a prompt is its place in the round."""

    adopts_programs = False

    def sample(self, count: int, _run_share: float) -> list[Any]:
        """So many prompts."""
        return [None] * count


class _Rounds(Rounds):
    """The real rule of when a round starts; what starts is simulated."""

    def begin(self, state: TrainerState, ledger: Ledger) -> list[int]:
        """Start what may start now; the first sample ids of these rounds."""
        self._begun: list[int] = []
        self._start(state, ledger)
        return self._begun

    def end(self) -> None:
        """The oldest round was trained on."""
        self._under_way.popleft()

    def _collect(
        self, _subtasks: Any, _run_share: float, first: int, *_: Any
    ) -> Coroutine[Any, Any, Any]:
        self._begun.append(first)
        return _nothing()


async def _nothing() -> None:
    pass


@dataclass(eq=False)
class _Round:
    """A round under way."""

    ids: range
    unassigned: deque[GroupOrder]
    samples: dict[int, Drawn]
    left: int
    """Groups that were not delivered."""
    started_s: float
    completions_s: list[float] = field(default_factory=list)
    """When each sample was generated, since the start of the round."""


@dataclass(frozen=True)
class Snapshot:
    """How much each part was used up to a moment."""

    now_s: float
    used_s: dict[str, list[float]]
    """Server seconds of each station, by part."""
    tokens: float
    messages: int
    rounds: int


class Simulation:
    """One fleet, from an empty start to its last step."""

    def __init__(self, given: Assumptions) -> None:
        self.given = given
        self.clock = clock = Clock()
        self.driver, self.learner, self.weights = Station(clock), Station(clock), Station(clock)
        self.network, self.store = Station(clock), Station(clock)
        self.sandboxes = [Station(clock, given.slots_per_worker) for _ in range(given.workers)]
        self.engines = [
            SimulatedEngine(
                clock, given.tokens_per_s, given.sequence_tokens_per_s, given.max_num_seqs
            )
            for _ in range(given.engines)
        ]
        self.handles = self._handles()
        self.collectors = self._collectors()
        self.ledger = Ledger()
        self.on_step: Callable[[], None] = lambda: None
        """Called after each step."""
        self.messages = 0
        """Of the driver, both ways counted as one."""
        self.rounds: list[_Round] = []
        """Completed."""
        self.snapshots: list[Snapshot] = []
        """At the start, and after each step."""
        warm = given.max_staleness + 1
        loop = LoopConfig(
            steps=warm + given.measured_steps + given.max_staleness,
            prompts_per_step=given.prompts,
            max_staleness=given.max_staleness,
            checkpoint_every=0,
        )
        stand_in: Any = None
        subtasks: Any = _Subtasks()
        self._loop, self._state = loop, TrainerState()
        self._capacity = _Rounds(loop, subtasks, stand_in, stand_in, stand_in, given.samples)
        self._open: list[_Round] = []
        """Rounds, oldest first."""
        self._ready: deque[_Round] = deque()
        self._stepping = self._broadcasting = False
        rng = random.Random(given.seed)
        self._length, self._program_s = given.lengths(rng), given.program_times(rng)

    def _handles(self) -> list[CollectorHandle]:
        given = self.given
        nodes = [f"node-{i // given.engines_per_node}" for i in range(given.engines)]
        stand_in: Any = None
        return [
            CollectorHandle(
                f"collector-{number}",
                stand_in,
                tuple(EngineHandle(f"rollout-{i}", None, loaded=True) for i in mine),
                loaded=True,
            )
            for number, mine in enumerate(shares_of_engines(nodes, given.engines_per_collector))
        ]

    def _collectors(self) -> dict[CollectorHandle, SimulatedCollector]:
        given, made = self.given, {}
        by_name = {f"rollout-{i}": engine for i, engine in enumerate(self.engines)}
        config = SandboxPoolConfig(workers=given.workers, slots_per_worker=given.slots_per_worker)
        whole = SandboxPool([None] * given.workers, config)
        for index, handle in enumerate(self.handles):
            part = whole.part(handle.caller, index, len(self.handles))
            pool = SandboxPool.join(part)
            made[handle] = SimulatedCollector(
                self.clock, handle, by_name, pool, part.slots, self.sandboxes, given
            )
        return made

    @property
    def steps(self) -> int:
        """Steps that are simulated, with those before and after the measured ones."""
        return self._loop.steps

    async def run(self) -> None:
        """Simulate every step.

        Raises:
            TimeoutError: a step takes longer than `loop.step_timeout_s`.
            RunFailed: a sample is unaccounted for.
        """
        self.snapshots.append(self._snapshot())
        self.clock.after(self.given.heartbeat_s, self._heartbeat)
        self._begin_rounds()
        events = 0
        while self.clock.step():
            events += 1
            if events % 4096 == 0:
                await asyncio.sleep(0)  # asyncio forgets the deadlines that were not needed
            if self.clock.now - self.snapshots[-1].now_s > self._loop.step_timeout_s:
                raise TimeoutError(
                    f"a step takes longer than {self._loop.step_timeout_s:g} s (the default of "
                    f"loop.step_timeout_s) with {self.given.engines} engines; "
                    f"the fullest part: {self._fullest()}"
                )
        self.ledger.check_empty()

    # ------------------------------------------------------------------------- rounds

    def _begin_rounds(self) -> None:
        given = self.given
        for first in self._capacity.begin(self._state, self.ledger):
            ids = range(first, first + given.round_samples)
            samples = {i: Drawn(self._length(), self._program_s()) for i in ids}
            groups = deque(
                # The place of the group stands where the seed does, which draws nothing here.
                GroupOrder(
                    g, _no_subtask(), dict.fromkeys(ids[g * given.samples :][: given.samples], g)
                )
                for g in range(given.prompts)
            )
            made = _Round(ids, groups, samples, len(groups), self.clock.now)
            self._open.append(made)
        self._assign()

    def _assign(self) -> None:
        """As `OrderDispatcher._assign`: the oldest round that waits, and then the next."""
        costs, clock = self.given.costs, self.clock
        alone = len(self.handles) == 1
        window = None if alone else _AHEAD * 2 * self.given.max_num_seqs
        while waiting := next((each for each in self._open if each.unassigned), None):
            if self._broadcasting:
                return
            able = {handle: handle.ready_engines(0) for handle in self.handles}
            shares = assign(waiting.unassigned, able, window)
            wait_s = _REFILL_S if waiting.unassigned else _DELIVERY_S
            for handle, groups in shares:
                self.messages += 1
                spent_s = (costs.order_us + len(groups) * costs.group_us) / 1e6
                send = self._order(waiting, handle, groups, wait_s)
                self.driver.serve(spent_s, lambda send=send: clock.after(self.given.hop_s, send))
            if waiting.unassigned:
                return

    def _order(
        self, current: _Round, handle: CollectorHandle, groups: list[GroupOrder], wait_s: float
    ) -> Then:
        def deliver(finished: list[GroupOrder]) -> None:
            self.messages += 1
            samples = sum(len(group.seeds) for group in finished)
            costs = self.given.costs
            spent_s = (costs.delivery_us + samples * costs.sample_us) / 1e6
            self.driver.serve(spent_s, lambda: self._hear(current, handle, finished))

        def generated() -> None:
            current.completions_s.append(self.clock.now - current.started_s)

        collector = self.collectors[handle]
        return lambda: collector.order(groups, current.samples, wait_s, deliver, generated)

    def _hear(
        self, current: _Round, handle: CollectorHandle, finished: Sequence[GroupOrder]
    ) -> None:
        handle.remove_load(finished)
        tokens = 0
        for sample in (sample for group in finished for sample in group.seeds):
            self.ledger.reached(sample, GENERATED)
            self.ledger.reached(sample, JUDGED)
            tokens += current.samples[sample].tokens
        self.network.serve(tokens * self.given.bytes_per_token / self.given.network_gb_s / 1e9)
        current.left -= len(finished)
        if not current.left:
            self._open.remove(current)
            self.rounds.append(current)
            self._train()
        self._assign()

    # ------------------------------------------------------------------------- steps

    def _train(self) -> None:
        """Begin the next step, if its round is complete and the step before has ended."""
        step = len(self.snapshots) - 1
        oldest = step * self.given.round_samples
        trained = next((each for each in self.rounds if each.ids.start == oldest), None)
        if self._stepping or trained is None:
            return
        self._stepping = True
        given = self.given
        size = sum(drawn.tokens for drawn in trained.samples.values()) * given.bytes_per_token
        out_s = size * given.learner_ranks / given.network_gb_s / 1e9

        def learn() -> None:
            self.network.serve(out_s, lambda: self.learner.serve(given.learner_s, check))

        def check() -> None:
            self._call(self._engine_checks() if given.checks_before_broadcast else 0, broadcast)

        def broadcast() -> None:
            self._pause(True)
            self.weights.serve(given.broadcast_s, end)

        def end() -> None:
            self._pause(False)
            self._end_step(trained)

        self.driver.serve(given.costs.step_us / 1e6)
        self.store.serve(size / given.store_gb_s / 1e9, learn)

    def _pause(self, paused: bool) -> None:
        """Pause the engines, or let them go on; collectors at work are told."""
        self._broadcasting = paused
        for engine in self.engines:
            engine.pause(paused)
        self._call(sum(collector.at_work for collector in self.collectors.values()))

    def _end_step(self, trained: _Round) -> None:
        self.ledger.close(trained.ids, {})
        self._capacity.end()
        self._state.step += 1
        self._stepping = False
        self.snapshots.append(self._snapshot())
        self.on_step()
        if self._state.step == self._loop.steps:
            self.clock.stopped = True
            return
        self._begin_rounds()
        self._train()

    # ------------------------------------------------------------------------- calls

    def _engine_checks(self) -> int:
        """Calls of the driver that ask every engine for a sign of life, as `Supervisor.check`."""
        for handle, collector in self.collectors.items():
            if len(handle.engines) > 1:
                collector.processor.serve(len(handle.engines) * self.given.costs.call_us / 1e6)
        return len(self.handles)

    def _heartbeat(self) -> None:
        self._call(self._engine_checks() + len(self.handles))
        self.clock.after(self.given.heartbeat_s, self._heartbeat)

    def _call(self, calls: int, then: Callable[[], None] | None = None) -> None:
        """Have the driver make so many calls, a few at a time."""
        self.messages += calls
        for first in range(0, calls, _CALLS):
            self.driver.serve(min(_CALLS, calls - first) * self.given.costs.call_us / 1e6)
        if then is not None:
            self.driver.serve(0.0, then)

    def _fullest(self) -> str:
        """The part with the largest load since the last step."""
        before, now = self.snapshots[-1], self._snapshot()
        seconds = now.now_s - before.now_s
        loads = {
            part: max((b - a) / seconds for a, b in zip(before.used_s[part], used, strict=True))
            for part, used in now.used_s.items()
        }
        tokens = (now.tokens - before.tokens) / self.given.tokens_per_s
        loads["engines"] = tokens / (seconds * self.given.engines)
        part = max(loads, key=loads.__getitem__)
        return f"{part}, {loads[part]:.2f} of its capacity"

    def _snapshot(self) -> Snapshot:
        collectors = list(self.collectors.values())
        parts: dict[str, list[Station]] = {
            "driver": [self.driver],
            "collectors": [collector.processor for collector in collectors],
            "sandbox slots": self.sandboxes,
            "pool clients": [collector.slots for collector in collectors],
            "object store": [self.store],
            "driver's network": [self.network],
            "weights": [self.weights],
            "learner": [self.learner],
        }
        used = {name: [each.used_s / each.servers for each in part] for name, part in parts.items()}
        tokens = sum(engine.tokens for engine in self.engines)
        return Snapshot(self.clock.now, used, tokens, self.messages, len(self.rounds))


def _no_subtask() -> Any:
    return None
