"""A collector is sent each problem once, and reads the orders that were packed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from actors.collectors.handle import RemoteClient
from actors.collectors.messages import Delivery, EnginesView, GroupOrder, Order, Sampling
from actors.collectors.wire import OrderPacker, OrderReader, ProblemNumbers
from curriculum import FULL_TASK, Problem, cut, synthetic_problems
from tests.actors.collectors.test_deliveries import Method

PROBLEMS = synthetic_problems(seed=4, per_tier=2)


def order(number: int, problems: Sequence[Problem]) -> Order:
    groups = tuple(
        GroupOrder(i, cut(problem, FULL_TASK, frozenset()), {i: 100 + i})
        for i, problem in enumerate(problems)
    )
    view = EnginesView(number, 0, ())
    return Order(number, 0, groups, Sampling(1.0, 1.0, 8), {}, view, True, 5.0)


def test_a_problem_is_sent_until_it_has_arrived_and_never_again() -> None:
    numbers = ProblemNumbers()
    packer, reader = OrderPacker(numbers), OrderReader()
    first, second, third = (order(n, PROBLEMS[: n + 2]) for n in range(3))
    packed, sent = packer.pack(first)
    overtaking, _ = packer.pack(second)
    assert reader.read(overtaking) == second, "before the first one arrived"
    assert reader.read(packed) == first
    packer.arrived(sent)
    short, sent = packer.pack(third)
    assert len(sent) == 2, "the other two arrived with the first order"
    assert reader.read(short) == third
    packer.arrived(sent)
    again, sent = packer.pack(third)
    assert (len(sent), len(again) < len(short)) == (0, True)
    assert reader.read(again) == third
    for_another, sent = OrderPacker(numbers).pack(third)
    assert len(sent) == 4
    assert OrderReader().read(for_another) == third
    with pytest.raises(KeyError):
        OrderReader().read(again)


def test_problems_are_told_apart_by_what_they_are_and_not_by_their_id() -> None:
    """Two suites may use an id; a problem may get a program of the policy as its solution."""
    packer, reader = OrderPacker(ProblemNumbers()), OrderReader()
    problem = PROBLEMS[0]
    other = problem.model_copy(update={"solution": problem.solution + "\n"})
    for asked in ([problem, other, problem], [other], [problem]):
        packed, sent = packer.pack(order(1, asked))
        packer.arrived(sent)
        assert [g.subtask.problem for g in reader.read(packed).groups] == asked


def test_what_was_sent_has_arrived_with_the_first_answer_alone() -> None:
    read = list[int]()

    async def answer(packed: bytes) -> Delivery:
        read.append(len(packed))
        if len(read) == 1:
            raise ConnectionError("it died")
        return Delivery((), last=True)

    class Actor:
        collect = Method(answer)

    async def check() -> None:
        client = RemoteClient(Actor(), ProblemNumbers())
        with pytest.raises(ConnectionError):
            [_ async for _ in client.collect(order(0, PROBLEMS))]
        for number in (1, 2):
            [_ async for _ in client.collect(order(number, PROBLEMS))]

    asyncio.run(check())
    assert read[0] == read[1] > read[2]
