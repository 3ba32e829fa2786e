"""OrderDispatcher: assigns the groups of concurrent rounds to collectors."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from ray.exceptions import RayError, RayTaskError

from actors.cluster.ray_calls import USER_ERRORS
from actors.collectors.handle import CollectorHandle
from actors.collectors.messages import Delivery, EnginesView, GroupOrder, Order, Progress, Sampling
from actors.collectors.supervisor import CollectorSupervisor
from actors.collectors.worker import NotStarted
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.supervisor import Supervisor
from actors.sandboxes.pool import SandboxPool

_AHEAD = 2
"""Samples that a collector has of those that its engines may have under way, where there are
several collectors: its engines must not run dry between two of its deliveries."""

_REFILL_S = 0.5
"""Time between two deliveries of a collector that is to be given more groups [seconds]."""

_ANSWER_S = 2.0
"""Longest wait for a collector to say how far it came, or that an order has ended [seconds]."""


@dataclass(frozen=True)
class OrderEnd:
    """The end of one order."""

    left: tuple[GroupOrder, ...] = ()
    """Groups that it did not finish."""
    lost: BaseException | None = None
    """How its collector was lost, if it was."""
    error: BaseException | None = None
    """What ends the round."""


@dataclass(eq=False)
class OpenOrder:
    """An order under way."""

    handle: CollectorHandle
    number: int
    task: asyncio.Task[None] | None = None
    handed_back: bool = False
    """Whether it was ended so that another collector takes what it did not finish."""


@dataclass(eq=False)
class OpenRound:
    """One call of `OrderDispatcher.stream`."""

    number: int
    unassigned: deque[GroupOrder]
    sampling: Sampling
    trajectories: bool
    wait_s: float
    events: asyncio.Queue[tuple[str, Delivery] | OrderEnd | None] = field(
        default_factory=asyncio.Queue
    )
    """Deliveries, ends of orders, and wake-ups (None); see `Dispatcher`."""
    orders: set[OpenOrder] = field(default_factory=set)
    open_orders: int = 0
    """Orders whose end was not taken from `events` yet."""
    attempts: Counter[int] = field(default_factory=Counter)
    """Engines lost under each sample, by sample id."""
    lost: Counter[int] = field(default_factory=Counter)
    """Collectors lost under each group, by its index."""
    delivered: int = 0
    """Samples."""


class OrderDispatcher:
    """Spreads groups over the collectors, by the engines that each has ready.

    Each call of `stream` is a round; several may be open at a time, and the oldest one is assigned
    first, as by `Dispatcher`. A lone collector gets a whole round in one order. Of several, each
    gets what keeps its engines busy, and more with its deliveries, so that a fast one does more.
    Groups with the longest expected answers come first, so that none of them starts when the others
    have ended; ids and seeds are those of the groups whatever their order.

    What a collector leaves is assigned again, with the same seeds: because it died, or because all
    its engines did while another collector has some.
    """

    def __init__(
        self,
        collectors: CollectorSupervisor,
        engines: Supervisor,
        pool: SandboxPool | None,
        config: RolloutConfig,
    ) -> None:
        self._collectors = collectors
        self._engines = engines
        self._pool = pool
        self._config = config
        self._rounds: list[OpenRound] = []
        """Open rounds, oldest first."""
        self._numbers = itertools.count()
        """Of rounds, orders and views."""
        self._told: dict[str, EnginesView] = {}
        """The last view that each collector was told."""
        self._ending: set[asyncio.Task[None]] = set()
        """Hand-backs that were not answered yet."""
        self._change_due = False
        collectors.subscribe(self._on_change)
        engines.subscribe(self._on_change)

    async def stream(
        self,
        groups: Sequence[GroupOrder],
        sampling: Sampling,
        trajectories: bool,
        deadline_s: float | None,
        wait_s: float = 0.0,
    ) -> AsyncIterator[tuple[str, Delivery]]:
        """Yield every group once; see `CollectorGroup.stream`."""
        number = next(self._numbers)
        longest_first = sorted(groups, key=lambda group: -group.subtask.expected_length)
        current = OpenRound(number, deque(longest_first), sampling, trajectories, wait_s)
        asked = sum(len(group.seeds) for group in groups)
        due = None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s
        self._rounds.append(current)
        try:
            while current.unassigned or current.open_orders:
                self._engines.raise_if_failed()
                self._collectors.raise_if_failed()
                self._hand_back(current)
                self._assign(current)
                try:
                    async with asyncio.timeout_at(due):
                        event = await current.events.get()
                except TimeoutError:
                    came = await self._how_far(current)
                    raise TimeoutError(
                        f"{asked} samples asked, {came.generated} generated, {came.judged} judged "
                        f"within {deadline_s:g} s"
                    ) from None
                if isinstance(event, OrderEnd):
                    current.open_orders -= 1
                    self._take_back(current, event)
                elif event is not None:
                    yield event
        finally:
            self._rounds.remove(current)
            self._wake_oldest_waiting()
            await self._end(tuple(current.orders))

    # ------------------------------------------------------------------------- assignment

    def _assign(self, current: OpenRound) -> None:
        """Order from every collector that has room, if it is the turn of `current`."""
        if not current.unassigned or self._oldest_waiting() is not current:
            return
        version = self._engines.version
        able = {
            handle: engines
            for handle in self._collectors.loaded()
            if (engines := handle.ready_engines(version))
        }
        alone = len(self._collectors.handles) == 1
        window = _AHEAD * 2 * self._config.max_num_seqs
        for handle, share in assign(current.unassigned, able, None if alone else window):
            order = OpenOrder(handle, next(self._numbers))
            current.orders.add(order)
            current.open_orders += 1
            order.task = asyncio.create_task(self._follow(current, order, share))
        if not current.unassigned:
            self._wake_oldest_waiting()

    def _hand_back(self, current: OpenRound) -> None:
        """End the orders of collectors whose engines are all gone, if another has engines."""
        version = self._engines.version
        if not any(handle.ready_engines(version) for handle in self._collectors.loaded()):
            return
        for order in current.orders:
            idle = not any(engine.loaded for engine in order.handle.engines)
            if idle and not order.handed_back:
                order.handed_back = True
                ending = asyncio.create_task(_cancel(order))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    def _take_back(self, current: OpenRound, end: OrderEnd) -> None:
        """Put what an order left in front of what waits.

        Raises:
            RunFailed: a group was lost with more than `rollout.retries` collectors; or what
                ended the order.
        """
        if end.error is not None:
            raise end.error
        current.unassigned.extendleft(reversed(end.left))
        if end.lost is None:
            return
        for group in end.left:
            current.lost[group.index] += 1
            if current.lost[group.index] > self._config.retries:
                raise RunFailed(
                    f"problem {group.subtask.problem.id}: its samples were lost with "
                    f"{current.lost[group.index]} collectors, more than rollout.retries "
                    f"({self._config.retries}) allows; the last one failed with: {end.lost}"
                )

    # ------------------------------------------------------------------------- orders

    async def _follow(
        self, current: OpenRound, order: OpenOrder, share: Sequence[GroupOrder]
    ) -> None:
        """Have a collector work on `share`: deliver what it delivers, then the order's end."""
        handle, incarnation = order.handle, order.handle.incarnation
        left = {group.index: group for group in share}
        lost = error = None
        try:
            async for delivery in handle.client.collect(self._order(current, order, share)):
                done = [left.pop(group.index) for group in delivery.finished]
                handle.remove_load(done)
                current.delivered += sum(len(group.seeds) for group in done)
                self._hear(current, handle, delivery)
                current.events.put_nowait((handle.name, delivery))
                self._wake_oldest_waiting()
            if left and not order.handed_back:
                error = RuntimeError(f"{handle.name}: an order ended early")
        except RayTaskError as raised:
            if isinstance(raised.cause, NotStarted):
                lost = raised.cause
            elif isinstance(raised.cause, TimeoutError):
                error = TimeoutError(f"{handle.name}: {raised.cause}")
            elif isinstance(raised.cause, USER_ERRORS):
                error = RunFailed(f"{handle.name}: {raised.cause}")
            else:
                error = raised
        except RayError as raised:
            lost = raised
        except Exception as raised:  # a collector of this process
            error = raised
        finally:
            current.orders.discard(order)
            handle.remove_load(left.values())
        if lost is not None:
            self._collectors.replace(handle, incarnation, lost)
        current.events.put_nowait(OrderEnd(tuple(left.values()), lost, error))
        self._wake_oldest_waiting()

    async def _end(self, orders: Sequence[OpenOrder]) -> None:
        """End orders that nobody waits for any more; their engines and sandboxes have been told so
        when it returns."""
        ended = [asyncio.create_task(_cancel(order)) for order in orders]
        following = [order.task for order in orders if order.task]
        for task in following:
            task.cancel()
        await asyncio.gather(*ended, *following, return_exceptions=True)

    def _order(self, current: OpenRound, order: OpenOrder, share: Sequence[GroupOrder]) -> Order:
        ids = {sample_id for group in share for sample_id in group.seeds}
        return Order(
            number=order.number,
            round=current.number,
            groups=tuple(share),
            sampling=current.sampling,
            attempts={i: count for i, count in current.attempts.items() if i in ids},
            engines=self._view(order.handle),
            trajectories=current.trajectories,
            wait_s=min(current.wait_s, _REFILL_S) if current.unassigned else current.wait_s,
        )

    def _hear(self, current: OpenRound, handle: CollectorHandle, delivery: Delivery) -> None:
        """Take from a delivery what is not about its groups."""
        for failure in delivery.failures:
            engine = handle.engines[failure.index]
            self._engines.replace(engine, failure.incarnation, failure.cause)
        if self._pool is not None and delivery.losses:
            self._pool.hear(delivery.losses)
        current.attempts.update(
            {i: n - current.attempts[i] for i, n in (delivery.attempts or {}).items()}
        )

    async def _how_far(self, current: OpenRound) -> Progress:
        """Samples generated and judged so far; of a collector that does not answer, those that it
        delivered."""

        async def ask(handle: CollectorHandle) -> Progress:
            try:
                return await asyncio.wait_for(handle.client.progress(current.number), _ANSWER_S)
            except (RayError, TimeoutError):
                return Progress(0, 0)

        handles = {order.handle for order in current.orders}
        came = await asyncio.gather(*map(ask, handles))
        return Progress(
            current.delivered + sum(each.generated for each in came),
            current.delivered + sum(each.judged for each in came),
        )

    # ------------------------------------------------------------------------- changes

    def _on_change(self) -> None:
        """Tell collectors and rounds of a changed engine or collector; many changes at once."""
        if not self._change_due:
            self._change_due = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._change_due = False
        at_work = {order.handle for each in self._rounds for order in each.orders}
        for handle in at_work:  # the others are told with their next order
            told, version = self._told.get(handle.caller), self._engines.version
            view = handle.view(0, version)
            if told is None or (told.version, told.states) != (version, view.states):
                handle.client.update(self._view(handle))
        for each in self._rounds:
            each.events.put_nowait(None)

    def _view(self, handle: CollectorHandle) -> EnginesView:
        view = handle.view(next(self._numbers), self._engines.version)
        self._told[handle.caller] = view
        return view

    def _oldest_waiting(self) -> OpenRound | None:
        return next((each for each in self._rounds if each.unassigned), None)

    def _wake_oldest_waiting(self) -> None:
        if waiting := self._oldest_waiting():
            waiting.events.put_nowait(None)


async def _cancel(order: OpenOrder) -> None:
    """End an order; a collector that does not answer is found by its heartbeat."""
    with suppress(RayError, TimeoutError):
        await asyncio.wait_for(order.handle.client.cancel(order.number), _ANSWER_S)


def assign(
    groups: deque[GroupOrder], engines: dict[CollectorHandle, int], window: int | None
) -> list[tuple[CollectorHandle, list[GroupOrder]]]:
    """Give each group to the collector with the fewest samples for each of its ready engines.

    Takes from the front of `groups` and leaves there what has to wait.

    Args:
        groups: to be assigned.
        engines: ready engines of each collector that can take groups.
        window: samples for each ready engine from which on a collector takes no further group;
            None sets no limit.

    Returns:
        Each collector that was assigned anything, with its groups; they are counted as its load.
    """
    shares: dict[CollectorHandle, list[GroupOrder]] = {}

    def has_room(handle: CollectorHandle) -> bool:
        return window is None or handle.samples < window * engines[handle]

    # A heap by load; of equal ones, the first in `engines`.
    able = [
        (handle.samples / ready, place, handle)
        for place, (handle, ready) in enumerate(engines.items())
        if has_room(handle)
    ]
    heapify(able)
    while groups and able:
        _, place, least_loaded = able[0]
        group = groups.popleft()
        least_loaded.add_load([group])
        shares.setdefault(least_loaded, []).append(group)
        if has_room(least_loaded):
            load = least_loaded.samples / engines[least_loaded]
            heapreplace(able, (load, place, least_loaded))
        else:
            heappop(able)
    return list(shares.items())
