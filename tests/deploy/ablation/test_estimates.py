"""Estimates over seeds against simulation and brute force."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest

from deploy.ablation.estimates import (
    mean_over_seeds,
    paired,
    rerun_deviation,
    residual_deviation,
    sample_variance,
    samples_to_reach,
)


def test_the_interval_of_five_seeds_is_students() -> None:
    estimate = mean_over_seeds([0.1, 0.2, 0.3, 0.4, 0.5])
    half = 2.776445 * math.sqrt(0.025 / 5)
    assert estimate.mean == pytest.approx(0.3)
    assert (estimate.low, estimate.high) == pytest.approx((0.3 - half, 0.3 + half), abs=1e-6)


def test_two_seeds_have_no_interval() -> None:
    estimate = mean_over_seeds([0.1, 0.2])
    assert (estimate.seeds, estimate.low, estimate.high) == (2, None, None)
    difference = paired({1: 0.2, 2: 0.3}, {1: 0.1, 2: 0.1})
    assert difference is not None
    assert difference.confidence_above(0.0) is None
    with pytest.raises(ValueError, match="no seeds"):
        mean_over_seeds([])


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_95_percent_of_the_intervals_hold_the_true_mean(seeds: int) -> None:
    draw = random.Random(seeds)
    held = 0
    for _ in range(4000):
        estimate = mean_over_seeds([draw.gauss(0.4, 0.05) for _ in range(seeds)])
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= 0.4 <= estimate.high
    assert held / 4000 == pytest.approx(0.95, abs=0.012)


def test_pairs_are_of_the_seeds_that_both_arms_have() -> None:
    difference = paired({1: 0.5, 2: 0.4, 3: 0.6, 9: 1.0}, {3: 0.5, 2: 0.5, 1: 0.1, 7: 0.0})
    assert difference is not None
    assert list(difference.values) == [1, 2, 3]
    assert difference.in_favour == 2
    assert difference.estimate.mean == pytest.approx((0.4 - 0.1 + 0.1) / 3)
    assert paired({1: 0.5}, {2: 0.5}) is None


def test_the_confidence_is_that_of_the_interval_that_touches_the_margin() -> None:
    a = dict(enumerate((0.50, 0.55, 0.58, 0.61)))
    difference = paired(a, dict.fromkeys(a, 0.5))
    assert difference is not None
    low = difference.estimate.low
    assert low is not None
    assert difference.confidence_above(low) == pytest.approx(0.95)
    assert difference.confidence_above(low - 0.01) > 0.95  # type: ignore[operator]
    assert difference.confidence_above(0.2) == 0


def test_equal_differences_are_certain() -> None:
    difference = paired({1: 0.5, 2: 0.5, 3: 0.5}, {1: 0.25, 2: 0.25, 3: 0.25})
    assert difference is not None
    assert difference.confidence_above(0.2) == 1
    assert difference.confidence_above(0.3) == 0


def test_what_seeds_share_is_no_part_of_the_residual() -> None:
    draw = random.Random(3)
    arms, seeds = (0.0, 0.1, 0.3), [draw.gauss(0, 1) for _ in range(400)]
    table = [[arm + seed + draw.gauss(0, 0.02) for seed in seeds] for arm in arms]
    assert residual_deviation(table) == pytest.approx(0.02, rel=0.1)
    assert residual_deviation([[0.1, 0.2]]) is None
    assert residual_deviation([[0.1], [0.2]]) is None


def test_the_variance_of_a_sample_is_that_around_each_problems_rate() -> None:
    draw = random.Random(5)
    rates = [draw.random() for _ in range(20_000)]
    passed = [sum(draw.random() < rate for _ in range(4)) for rate in rates]
    expected = fmean(rate * (1 - rate) for rate in rates)
    assert sample_variance(passed, [4] * len(passed)) == pytest.approx(expected, rel=0.02)
    assert sample_variance([1], [1]) is None


def test_a_level_is_reached_between_evaluations() -> None:
    curve = [(0.0, 0.1), (100.0, 0.3), (200.0, 0.2), (300.0, 0.6)]
    assert samples_to_reach(curve, 0.2) == pytest.approx(50)
    assert samples_to_reach(curve, 0.4) == pytest.approx(250)
    assert samples_to_reach(curve, 0.05) == 0
    assert samples_to_reach(curve, 0.7) is None


def test_the_spread_between_reruns_is_pooled_over_seeds() -> None:
    assert rerun_deviation([[0.1, 0.3], [0.5], [0.4, 0.4]]) == pytest.approx(math.sqrt(0.02 / 2))
    assert rerun_deviation([[0.1], [0.5]]) is None
