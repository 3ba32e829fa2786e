"""What an order takes of the driver: its bytes, and the processor time to pack it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from actors.collectors.messages import EngineState, EnginesView, GroupOrder, Order, Sampling
from actors.collectors.wire import OrderPacker, ProblemNumbers
from curriculum.problem import Problem, Test
from curriculum.subtask import FULL_TASK, cut
from curriculum.synthetic.problems import synthetic_problems
from deploy.bench.record import Figure

GROUPS, SAMPLES = 16, 8
LARGE_TESTS, LARGE_BYTES = 40, 1200
"""Tests on stdin as a contest has them, and bytes of each input."""


def orders(rounds: int) -> Iterator[Figure]:
    """Bytes and microseconds of an order whose problems are new to the collector, and of later ones
    of the same problems, without Ray.

    Args:
        rounds: turns of each measurement.
    """
    small = synthetic_problems(seed=4, per_tier=GROUPS)[:GROUPS]
    for name, problems in (("small", small), ("large", [_large(i) for i in range(GROUPS)])):
        order = order_of(problems)
        packer = OrderPacker(ProblemNumbers())
        for when in ("first", "later"):
            spent: list[float] = []
            packed, sent = packer.pack(order)
            for _ in range(10 * rounds):
                began = time.process_time()
                packer.pack(order)
                spent.append(1e6 * (time.process_time() - began))
            packer.arrived(sent)
            label = f"order_{{}}_{when}_{name}"
            what = f"{GROUPS} groups of {SAMPLES} samples"
            size = float(len(packed))
            yield Figure(label.format("bytes"), size, "B", what, None, None, True)
            cost = statistics.median(spent)
            yield Figure(label.format("us"), cost, "us", what, None, None, True, tuple(spent))


def order_of(problems: list[Problem]) -> Order:
    """An order of a group for each problem."""
    groups = tuple(
        GroupOrder(
            index,
            cut(problem, FULL_TASK, frozenset()),
            {index * SAMPLES + k: (7 << 32) + index * SAMPLES + k for k in range(SAMPLES)},
        )
        for index, problem in enumerate(problems)
    )
    view = EnginesView(0, 0, (EngineState(0, True),))
    return Order(0, 0, groups, Sampling(1.0, 1.0, 192), {}, view, True, 5.0)


def _large(number: int) -> Problem:
    line = "{} {} 3\n"
    tests = tuple(
        Test(input=line.format(number, i) * (LARGE_BYTES // len(line)), output="6\n")
        for i in range(LARGE_TESTS)
    )
    return Problem(id=f"large-{number}", question="q" * 1500, solution="x = 1\n" * 60, tests=tests)
