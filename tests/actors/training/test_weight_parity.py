"""The weight parity check, on a stand-in learner and fleet: what passes, and what ends the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.errors import RunFailed
from actors.training.weight_parity import WeightParityCheck


class FixedLearner:
    """Answers with the same log-probabilities for every call."""

    async def token_logprobs(self, _sequences: list[list[int]]) -> list[list[float]]:
        return [[-1.0, -2.0]]


class FixedFleet:
    """Two engines; `last` is the second one's last log-probability."""

    colocated = False

    def __init__(self, last: float) -> None:
        self.last = last

    async def prompt_logprobs(
        self, _sequences: list[list[int]], _deadline_s: float
    ) -> dict[str, list[list[float]]]:
        return {"rollout-0": [[-1.0, -2.0]], "rollout-1": [[-1.0, self.last]]}


def check(last: float, exact: bool = True) -> WeightParityCheck:
    learner: Any = FixedLearner()
    fleet: Any = FixedFleet(last)
    return WeightParityCheck(learner, fleet, [[1, 2, 3]], tolerance=None, exact=exact, deadline_s=1)


def test_engines_within_the_tolerance_pass_and_the_largest_difference_is_kept() -> None:
    parity = check(-2.00005)
    assert asyncio.run(parity.verify(7)) == pytest.approx(5e-5)
    assert parity.checks == 1
    assert parity.largest == pytest.approx(5e-5)


def test_in_bfloat16_a_difference_of_the_size_of_rounding_passes() -> None:
    parity = check(-2.1, exact=False)
    assert asyncio.run(parity.verify(7)) == pytest.approx(0.1)
    with pytest.raises(RunFailed, match=r"99th percentile is 0.7 nats, the limit is 0.5"):
        asyncio.run(check(-2.7, exact=False).verify(7))


@pytest.mark.parametrize("last", [-2.1, float("nan")])
def test_another_log_probability_ends_the_run_and_names_engine_and_version(last: float) -> None:
    parity = check(last)
    with pytest.raises(RunFailed, match=r"rollout-1 does not hold version 7"):
        asyncio.run(parity.verify(7))
    assert parity.checks == 0


def test_the_first_three_broadcasts_to_engines_that_slept_are_checked() -> None:
    parity = check(-2.0)
    assert not parity.wake_up_is_new()
    parity.fleet.colocated = True  # type: ignore[misc]
    for _ in range(3):
        assert parity.wake_up_is_new()
        asyncio.run(parity.verify(1))
    assert not parity.wake_up_is_new()
