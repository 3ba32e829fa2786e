"""CollectorWorker: a collector in a Ray actor, near its engines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayError

from actors.cluster.ray_calls import gather
from actors.collectors.collector import Collector, Reading
from actors.collectors.engines import EngineBoard
from actors.collectors.messages import Delivery, EnginesView, Progress
from actors.collectors.wire import OrderReader
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.dispatcher import Dispatcher
from actors.rollout.engine_handle import EngineHandle
from actors.runs.logs import forward_logs
from actors.sandboxes.pool import PoolPart, SandboxPool
from actors.weights.environment import NO_GPU

COLLECTOR_ENV = {
    **NO_GPU,
    "OMP_NUM_THREADS": "1",
    # A delivery up to this size [bytes] comes with the answer to its call. Ray would put one above
    # 100 kB into the node's object store, from where the driver fetches it in further messages.
    "RAY_max_direct_call_object_size": str(8 << 20),
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
"""Environment variables of a collector's actor."""


class NotStarted(RuntimeError):
    """Ray restarted the collector's process, and nobody has started it since."""


@dataclass(frozen=True)
class CollectorSetup:
    """What a collector works with."""

    engines: tuple[tuple[str, Any], ...]
    """Name and actor of each of its engines."""
    rollout: RolloutConfig
    """Window, retries, length of the context and of responses."""
    pool: PoolPart | None
    """Its part of the sandboxes; None only generates."""
    reading: Reading
    """Prompts, answers, rewards."""
    caller: str
    """Names this incarnation of the collector to engines and sandboxes."""


class CollectorWorker:
    """One collector: orders in, deliveries out. It holds no weights and no state of the run.

    Lifecycle: `start()` says what it works with; `collect()` takes an order and answers with its
    first delivery, and each call of `more()` with the next one. Most orders have one delivery.

    What a process that died had under way is asked again of the one that Ray starts in its place,
    or of another collector.
    """

    def __init__(self, name: str) -> None:
        forward_logs(name)
        self.name = name
        self._loaded: Collector | None = None
        self._engines: list[EngineHandle] = []
        self._reader = OrderReader()
        self._orders: dict[int, AsyncGenerator[Delivery, None]] = {}
        """The deliveries to come, by the number of the order."""
        self._asked: set[int] = set()
        """Orders whose next delivery the driver waits for."""

    def __repr__(self) -> str:
        """What Ray's dashboard shows; it asks once, after `__init__`."""
        return self.name

    async def start(self, setup: CollectorSetup, tokenizer: Any) -> None:
        """Begin with this setup, and the policy's tokenizer.

        The driver has loaded it: that imports torch, which a collector needs for nothing else.
        """
        self._engines = [EngineHandle(name, actor) for name, actor in setup.engines]
        board = EngineBoard(self._engines)
        dispatcher = Dispatcher(board, setup.rollout, setup.caller)
        pool = SandboxPool.join(setup.pool) if setup.pool else None
        self._loaded = await asyncio.to_thread(
            Collector, dispatcher, pool, tokenizer, setup.rollout, setup.reading, board
        )

    @property
    def _collector(self) -> Collector:
        """What `start` loaded.

        Raises:
            NotStarted: Ray restarted this process since.
        """
        if self._loaded is None:
            raise NotStarted(f"{self.name} was restarted and is not started yet")
        return self._loaded

    async def collect(self, packed: bytes) -> Delivery:
        """Begin an order; its first delivery, as of `Collector.collect`.

        Args:
            packed: the order, by `OrderPacker.pack`.
        """
        collector = self._collector
        order = await asyncio.to_thread(self._reader.read, packed)
        self._orders[order.number] = collector.collect(order)
        return await self.more(order.number)

    async def more(self, number: int) -> Delivery:
        """The next delivery of an order.

        Of one that was cancelled meanwhile it may be empty: what was not delivered by then is not.
        """
        deliveries = self._orders.get(number)
        if deliveries is None:
            if self._collector.was_cancelled(number):
                return Delivery((), last=True)
            raise NotStarted(f"{self.name} was restarted since order {number} began")
        self._asked.add(number)
        last = True
        try:
            delivery = await anext(deliveries)
            last = delivery.last
            return delivery
        finally:
            self._asked.discard(number)
            if last:
                await self._close(number)

    async def cancel(self, number: int) -> None:
        """End an order, as `Collector.cancel` does."""
        await self._collector.cancel(number)
        if number not in self._asked:  # nobody waits for its last delivery
            await self._close(number)

    async def _close(self, number: int) -> None:
        if (deliveries := self._orders.pop(number, None)) is not None:
            await deliveries.aclose()

    async def update(self, view: EnginesView) -> None:
        """Take the state of the engines."""
        self._collector.update(view)

    async def progress(self, round_number: int) -> Progress:
        """How far a round came here, as `Collector.progress` says."""
        return await self._collector.progress(round_number)

    async def heartbeat(self) -> int:
        """The process id, answered by the event loop."""
        return os.getpid()

    async def silent_engines(self, places: Sequence[int], deadline_s: float) -> dict[int, str]:
        """Which of its engines give no sign of life within `deadline_s` seconds, and why.

        Args:
            places: of the engines that are asked, among its own.
            deadline_s: longest wait.
        """
        if self._loaded is None:
            raise NotStarted(f"{self.name} was restarted and knows no engine")
        silent: dict[int, str] = {}

        async def ask(place: int) -> None:
            engine = self._engines[place]
            try:
                call = engine.actor.heartbeat.remote()
                await gather(
                    f"{engine.name}: heartbeat", [call], deadline_s, "rollout.hang_timeout_s"
                )
            except (RunFailed, TimeoutError, RayError) as error:
                silent[place] = str(error).strip() or type(error).__name__

        await asyncio.gather(*map(ask, places))
        return silent
