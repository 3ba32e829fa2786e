"""Power against a simulation of whole grids: seeds, problems, samples, a t test on the pairs."""

from __future__ import annotations

import random

import pytest

from deploy.ablation.estimates import paired
from deploy.ablation.power import PILOT, Spread, seeds_needed, smallest_difference

PROBLEMS, SAMPLES, SEEDS = 60, 4, 5


def measured(draw: random.Random, rate: float, training: float) -> float:
    """One arm's pass@1 with one seed: training moves the rate, samples are drawn at it."""
    true = min(1.0, max(0.0, rate + draw.gauss(0, training)))
    passed = sum(draw.random() < true for _ in range(PROBLEMS * SAMPLES))
    return passed / (PROBLEMS * SAMPLES)


def test_the_smallest_difference_is_seen_four_times_in_five() -> None:
    spread = Spread(training=0.03, sample=0.25)
    smallest = smallest_difference(spread, PROBLEMS, SAMPLES, SEEDS)
    assert smallest is not None
    draw = random.Random(1)
    seen, tries = 0, 1500
    for _ in range(tries):
        a = {seed: measured(draw, 0.5 + smallest / 2, 0.03) for seed in range(SEEDS)}
        b = {seed: measured(draw, 0.5 - smallest / 2, 0.03) for seed in range(SEEDS)}
        difference = paired(a, b)
        assert difference is not None
        low = difference.estimate.low
        seen += low is not None and low > 0
    assert seen / tries == pytest.approx(0.8, abs=0.035)


def test_the_seeds_needed_are_the_fewest_that_see_a_difference() -> None:
    spread = PILOT["competition"]
    needed = seeds_needed(spread, 150, 6, 0.05)
    assert needed is not None
    with_them = smallest_difference(spread, 150, 6, needed)
    with_fewer = smallest_difference(spread, 150, 6, needed - 1)
    assert with_them is not None
    assert with_fewer is not None
    assert with_them <= 0.05 < with_fewer
    assert seeds_needed(spread, 150, 6, 0.001) is None
    assert smallest_difference(spread, 150, 6, 1) is None


def test_sampling_is_taken_out_of_a_measured_spread() -> None:
    true = Spread(training=0.02, sample=0.1)
    residual = (0.02**2 + 0.1 / (100 * 4)) ** 0.5
    assert Spread.measured(residual, 0.1, 100, 4).training == pytest.approx(true.training)
    assert Spread.measured(0.001, 0.1, 100, 4).training == 0


def test_more_problems_help_only_until_training_rules() -> None:
    spread = PILOT["overall"]
    errors = [spread.standard_error(problems, 4, 5) for problems in (100, 1000, 10**9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] == pytest.approx((2 * spread.training**2 / 5) ** 0.5)
