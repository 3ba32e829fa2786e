"""CollectorHandle: what the driver knows of one collector, and how it calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from actors.cluster.ray_calls import gather
from actors.collectors.messages import (
    Delivery,
    EngineState,
    EnginesView,
    GroupOrder,
    Order,
    Progress,
)
from actors.collectors.wire import OrderPacker, ProblemNumbers
from actors.rollout.engine_handle import EngineHandle

_ANSWER_S = 2.0
"""Longest time that an answer takes beside what it waits for [seconds]."""


class Client(Protocol):
    """A collector's methods, wherever it runs: a `Collector` of this process is one itself."""

    def collect(self, order: Order) -> AsyncIterator[Delivery]:
        """What the order comes to."""
        ...

    async def cancel(self, number: int) -> None:
        """End an order; engines and sandboxes have been told when it returns."""
        ...

    def update(self, view: EnginesView) -> None:
        """Tell the state of its engines."""
        ...

    async def progress(self, round_number: int) -> Progress:
        """How far a round came there, without the groups that were delivered."""
        ...


class RemoteClient:
    """Calls one process of a collector's actor."""

    def __init__(self, actor: Any, numbers: ProblemNumbers) -> None:
        """Call `actor`, which has been sent no problem yet.

        Args:
            actor: Ray's handle.
            numbers: of the problems, for every collector.
        """
        self._actor = actor
        self._packer = OrderPacker(numbers)

    async def collect(self, order: Order) -> AsyncIterator[Delivery]:
        """What the order comes to; raises Ray's errors."""
        packed, sent = self._packer.pack(order)
        delivery = await self._actor.collect.remote(packed)
        self._packer.arrived(sent)
        yield delivery
        while not delivery.last:
            delivery = await self._actor.more.remote(order.number)
            yield delivery

    async def cancel(self, number: int) -> None:
        """End an order."""
        await self._actor.cancel.remote(number)

    def update(self, view: EnginesView) -> None:
        """Tell the state of its engines; returns at once."""
        self._actor.update.remote(view)

    async def progress(self, round_number: int) -> Progress:
        """How far a round came there."""
        return await self._actor.progress.remote(round_number)


@dataclass(eq=False)
class CollectorHandle:
    """One collector as the driver sees it."""

    name: str
    """`collector-<i>`, the actor's name in Ray too."""
    client: Client
    """How it is called."""
    engines: tuple[EngineHandle, ...]
    """Those that it has generate."""
    actor: Any = None
    """Ray's handle; None for a collector of this process."""
    incarnation: int = 0
    """How often it was restarted."""
    loaded: bool = False
    """Whether it answers calls."""
    samples: int = 0
    """Samples ordered and not delivered."""

    @property
    def caller(self) -> str:
        """What names this incarnation to engines and sandboxes."""
        return self.caller_of(self.incarnation)

    def caller_of(self, incarnation: int) -> str:
        """As `caller`, of another incarnation."""
        return f"{self.name}.{incarnation}"

    def ready_engines(self, version: int) -> int:
        """Engines that answer calls and hold these weights."""
        return sum(engine.loaded and engine.version == version for engine in self.engines)

    async def silent(
        self, engines: Sequence[EngineHandle], deadline_s: float
    ) -> dict[EngineHandle, str]:
        """Which of these engines of its own do not answer it in time, and why.

        Raises:
            RunFailed, TimeoutError, RayError: the collector itself does not answer.
        """
        places = [self.engines.index(engine) for engine in engines]
        call = self.actor.silent_engines.remote(places, deadline_s)
        what = f"{self.name}: heartbeats of its engines"
        [silent] = await gather(what, [call], deadline_s + _ANSWER_S)
        return {self.engines[place]: cause for place, cause in silent.items()}

    def view(self, number: int, version: int) -> EnginesView:
        """The state of its engines, as view `number`."""
        states = (
            EngineState(engine.incarnation, engine.loaded and engine.version == version)
            for engine in self.engines
        )
        return EnginesView(number, version, tuple(states))

    def add_load(self, groups: Iterable[GroupOrder]) -> None:
        """Count groups as ordered."""
        self.samples += sum(len(group.seeds) for group in groups)

    def remove_load(self, groups: Iterable[GroupOrder]) -> None:
        """Count groups as ordered no longer."""
        self.samples -= sum(len(group.seeds) for group in groups)


def shares_of_engines(nodes: Sequence[str], most: int) -> list[list[int]]:
    """The engines of each collector: those of one node, at most `most`, as even as they divide.

    Args:
        nodes: the node of each engine.
        most: `rollout.engines_per_collector`.
    """
    of_node: dict[str, list[int]] = {}
    for engine, node in enumerate(nodes):
        of_node.setdefault(node, []).append(engine)
    shares: list[list[int]] = []
    for engines in of_node.values():
        parts = -(-len(engines) // most)
        bounds = [len(engines) * part // parts for part in range(parts + 1)]
        shares += [engines[a:b] for a, b in pairwise(bounds)]
    return shares
