"""A collector's actor answers with one delivery a call, and keeps no order that has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from actors.collectors import worker as worker_module
from actors.collectors.handle import RemoteClient
from actors.collectors.messages import Delivery, EnginesView, Order, Sampling
from actors.collectors.wire import OrderPacker, ProblemNumbers
from actors.collectors.worker import CollectorWorker, NotStarted

ORDER = Order(7, 0, (), Sampling(1.0, 1.0, 8), {}, EnginesView(0, 0, ()), True, 5.0)


PACKED, _ = OrderPacker(ProblemNumbers()).pack(ORDER)


class ScriptedCollector:
    """Delivers what the test puts, until it is cancelled."""

    def __init__(self) -> None:
        self.deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        self.cancelled: set[int] = set()
        self.ended: list[int] = []

    async def collect(self, order: Order) -> AsyncGenerator[Delivery, None]:
        try:
            while True:
                delivery = await self.deliveries.get()
                if delivery.peak_judging < 0:
                    raise ValueError("it failed")
                yield delivery
                if delivery.last:
                    return
        finally:
            self.ended.append(order.number)

    async def cancel(self, number: int) -> None:
        self.cancelled.add(number)
        self.deliveries.put_nowait(Delivery((), last=True))

    def was_cancelled(self, number: int) -> bool:
        return number in self.cancelled


class Method:
    """A method of an actor in this process."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.calls = 0

    def remote(self, *arguments: Any) -> Any:
        self.calls += 1
        return asyncio.ensure_future(self.function(*arguments))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> CollectorWorker:
    monkeypatch.setattr(worker_module, "forward_logs", lambda _name: None)
    made = CollectorWorker("collector-0")
    made._loaded = ScriptedCollector()  # type: ignore[assignment]
    return made


def scripted(worker: CollectorWorker) -> Any:
    return worker._loaded


def test_an_order_with_one_delivery_is_one_call(worker: CollectorWorker) -> None:
    class Actor:
        collect, more = Method(worker.collect), Method(worker.more)

    async def check(peaks: list[int]) -> list[int]:
        for peak in peaks:
            last = peak == peaks[-1]
            scripted(worker).deliveries.put_nowait(Delivery((), peak_judging=peak, last=last))
        return [
            each.peak_judging
            async for each in RemoteClient(Actor(), ProblemNumbers()).collect(ORDER)
        ]

    assert asyncio.run(check([1])) == [1]
    assert (Actor.collect.calls, Actor.more.calls) == (1, 0)
    assert asyncio.run(check([1, 2, 3])) == [1, 2, 3]
    assert (Actor.collect.calls, Actor.more.calls) == (2, 2)
    assert scripted(worker).ended == [7, 7]
    assert not worker._orders


def test_what_ends_an_order_is_raised_where_it_is_asked_for(worker: CollectorWorker) -> None:
    async def check() -> None:
        scripted(worker).deliveries.put_nowait(Delivery(()))
        scripted(worker).deliveries.put_nowait(Delivery((), peak_judging=-1))
        await worker.collect(PACKED)
        with pytest.raises(ValueError, match="it failed"):
            await worker.more(7)
        assert not worker._orders

    asyncio.run(check())


def test_a_cancelled_order_ends_whether_it_is_waited_for_or_not(worker: CollectorWorker) -> None:
    async def check() -> None:
        waiting = asyncio.create_task(worker.collect(PACKED))
        while 7 not in worker._asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await worker.cancel(7)
        assert (await waiting).last
        scripted(worker).deliveries.put_nowait(Delivery(()))
        await worker.collect(PACKED)
        await worker.cancel(7)
        assert scripted(worker).ended == [7, 7]
        assert (await worker.more(7)).last, "the driver may have asked before it cancelled"
        assert not worker._orders

    asyncio.run(check())


def test_a_process_that_was_restarted_knows_no_order(worker: CollectorWorker) -> None:
    with pytest.raises(NotStarted, match="restarted since order 7 began"):
        asyncio.run(worker.more(7))
