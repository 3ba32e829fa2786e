"""SimulatedCollector: orders in, deliveries out, by the real rules and in simulated time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from actors.collectors.collector import _BEAT_S
from actors.collectors.handle import CollectorHandle
from actors.collectors.messages import GroupOrder
from actors.rollout.dispatcher import assign
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.samples import Request
from actors.sandboxes.pool import SandboxPool
from deploy.bench.fleet.simulator.assumptions import Assumptions
from deploy.bench.fleet.simulator.clock import Clock, Station
from deploy.bench.fleet.simulator.engine import SimulatedEngine

_T = TypeVar("_T")


class Drawn(NamedTuple):
    """What a sample will be."""

    tokens: int
    program_s: float


@dataclass(eq=False)
class Work:
    """An order under way."""

    unassigned: deque[Sequence[Request]]
    samples: Mapping[int, Drawn]
    deliver: Callable[[list[GroupOrder]], None]
    on_completion: Callable[[], None]
    wait_s: float
    left: dict[int, int]
    """Samples without a verdict, by group."""
    groups: dict[int, GroupOrder]
    delivered_s: float
    """Time of the last delivery."""
    finished: list[GroupOrder] = field(default_factory=list)


class SimulatedCollector:
    """The work of a collector: the real `assign` and `_least_loaded`, its processor a station.

    Its event loop and its thread share one processor, since both hold the interpreter's lock.
    """

    def __init__(
        self,
        clock: Clock,
        handle: CollectorHandle,
        engines: Mapping[str, SimulatedEngine],
        pool: SandboxPool,
        slots: int,
        workers: Sequence[Station],
        given: Assumptions,
    ) -> None:
        self.processor = Station(clock)
        self.slots = Station(clock, slots)
        """Programs that may be under way."""
        self._clock, self._handle, self._given = clock, handle, given
        self._engines, self._pool, self._workers = engines, pool, workers
        self._work: list[Work] = []
        """Orders under way, oldest first."""
        self._prompt = (0,) * given.prompt_tokens
        cost = given.costs
        tokens = given.mean_tokens
        self._completion_s = cost.completion_us / 1e6
        self._sample_s = (
            cost.reading_us * tokens / 400 + cost.call_us + cost.placing_ns * len(workers) / 1e3
        ) / 1e6

    @property
    def at_work(self) -> bool:
        """Whether an order is under way."""
        return bool(self._work)

    def order(
        self,
        groups: Sequence[GroupOrder],
        samples: Mapping[int, Drawn],
        wait_s: float,
        deliver: Callable[[list[GroupOrder]], None],
        on_completion: Callable[[], None],
    ) -> None:
        """Work on an order.

        Args:
            groups: what is asked.
            samples: what each sample will be, by its id.
            wait_s: as in `Order`.
            deliver: called with finished groups.
            on_completion: called when a sample is generated.
        """
        work = Work(
            unassigned=deque([self._requests(group) for group in groups]),
            samples=samples,
            deliver=deliver,
            on_completion=on_completion,
            wait_s=wait_s,
            left={group.index: len(group.seeds) for group in groups},
            groups={group.index: group for group in groups},
            delivered_s=self._clock.now,
        )
        self._work.append(work)
        self._assign()
        self._clock.after(min(wait_s, _BEAT_S), lambda: self._beat(work))

    def _requests(self, group: GroupOrder) -> tuple[Request, ...]:
        longest = self._given.max_tokens
        return tuple(Request(i, self._prompt, s, longest, 1.0) for i, s in group.seeds.items())

    def _assign(self) -> None:
        while waiting := next((work for work in self._work if work.unassigned), None):
            window = 2 * self._given.max_num_seqs
            shares = assign(waiting.unassigned, self._handle.engines, window)
            for engine, groups in shares:
                for request in (request for group in groups for request in group):
                    self._generate(waiting, engine, request)
            if waiting.unassigned:
                return

    def _generate(self, work: Work, engine: EngineHandle, request: Request) -> None:
        clock, drawn = self._clock, work.samples[request.sample_id]

        def ended() -> None:
            work.on_completion()
            clock.after(self._given.hop_s, lambda: self.processor.serve(self._completion_s, heard))

        def heard() -> None:
            engine.remove_load([request])
            self._assign()
            self.processor.serve(self._sample_s, lambda: self.slots.acquire(run))

        def run() -> None:
            index = result_of(self._pool._least_loaded(set()))
            self._pool._load[index] += 1
            worker, hop_s = self._workers[index], self._given.hop_s

            def verdict() -> None:
                self._pool._load[index] -= 1
                self.slots.release()
                self._judged(work, group_of)

            def answer() -> None:
                clock.after(hop_s, verdict)

            clock.after(hop_s, lambda: worker.serve(drawn.program_s, answer))

        group_of = request.seed  # the place of its group: nothing is drawn from it here
        self._engines[engine.name].generate(drawn.tokens, ended)

    def _judged(self, work: Work, index: int) -> None:
        work.left[index] -= 1
        if work.left[index]:
            return
        del work.left[index]
        work.finished.append(work.groups[index])
        if not work.left:
            self._work.remove(work)
            self._deliver(work)

    def _beat(self, work: Work) -> None:
        if not work.left:
            return
        if work.finished and self._clock.now - work.delivered_s >= work.wait_s:
            self._deliver(work)
        self._clock.after(min(work.wait_s, _BEAT_S), lambda: self._beat(work))

    def _deliver(self, work: Work) -> None:
        finished, work.finished = work.finished, []
        work.delivered_s = self._clock.now
        self._clock.after(self._given.hop_s, lambda: work.deliver(finished))


def result_of(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        return returned.value
    raise RuntimeError(f"{coroutine} waits")
