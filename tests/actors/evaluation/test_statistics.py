"""pass@k against counting every subset, and intervals against drawing suites again and again."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from actors.evaluation.statistics import (
    difference_interval,
    mean_interval,
    pass_at_k,
    t_quantile,
)

DRAWS = 3000
"""Suites drawn for one coverage; its own error is then 0.4 points (one standard error)."""
MARGIN = 4 * math.sqrt(0.95 * 0.05 / DRAWS)


@pytest.mark.parametrize("samples", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_passing_sample(samples: int) -> None:
    for passed in range(samples + 1):
        outcomes = [index < passed for index in range(samples)]
        for k in range(1, samples + 1):
            share = fmean(any(subset) for subset in combinations(outcomes, k))
            assert pass_at_k(samples, passed, k) == pytest.approx(share, abs=1e-12)


def test_pass_at_k_is_unbiased_where_the_naive_estimate_is_not() -> None:
    generator, p, k = np.random.default_rng(1), 0.2, 5
    passed = generator.binomial(10, p, size=20_000)
    truth = 1 - (1 - p) ** k
    unbiased = [pass_at_k(10, int(c), k) for c in passed]
    error = float(np.std(unbiased)) / math.sqrt(len(unbiased))
    assert fmean(unbiased) == pytest.approx(truth, abs=4 * error)
    assert abs(fmean(1 - (1 - passed / 10) ** k) - truth) > 4 * error


def test_pass_at_k_of_many_samples_is_exact() -> None:
    assert pass_at_k(10_000, 1, 100) == pytest.approx(0.01, rel=1e-12)
    assert pass_at_k(200, 200, 100) == 1.0


@pytest.mark.parametrize(("samples", "passed", "k"), [(4, 1, 5), (4, 1, 0), (4, 5, 1), (0, 0, 1)])
def test_pass_at_k_without_enough_samples_is_refused(samples: int, passed: int, k: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(samples, passed, k)


@pytest.mark.parametrize(
    ("problems", "samples", "k", "a", "b"),
    [
        (164, 1, 1, 0.5, 0.5),  # HumanEval, greedy: solved or not
        (378, 1, 1, 1.0, 3.0),
        (164, 10, 1, 0.5, 0.5),
        (164, 10, 5, 1.0, 3.0),
        (378, 10, 10, 0.5, 0.5),
        (30, 20, 1, 1.0, 1.0),
    ],
)
def test_the_interval_of_a_suite_covers_the_true_rate_in_95_of_100_draws(
    problems: int, samples: int, k: int, a: float, b: float
) -> None:
    """Each draw is a suite: problems of pass rates from Beta(a, b), and samples of each."""
    generator = np.random.default_rng(problems + samples + k)
    chance = generator.beta(a, b, 1_000_000)
    truth = float(np.mean(1 - (1 - chance) ** k))
    values = {c: pass_at_k(samples, c, k) for c in range(samples + 1)}
    covered = 0
    for _ in range(DRAWS):
        passed = generator.binomial(samples, generator.beta(a, b, problems))
        interval = mean_interval([values[int(c)] for c in passed])
        covered += interval.low <= truth <= interval.high
    # Samples are whole numbers, so a little above is allowed as well.
    assert 0.95 - MARGIN <= covered / DRAWS <= 0.975


def test_samples_of_one_problem_do_not_count_as_independent() -> None:
    """Ten samples of each of 50 problems that always or never pass say no more than one sample."""
    rates = [1.0] * 20 + [0.0] * 30
    pooled = mean_interval([rate for rate in rates for _ in range(10)])
    clustered = mean_interval(rates)
    assert clustered.high - clustered.low > 2.5 * (pooled.high - pooled.low)


@pytest.mark.parametrize("gain", [0.0, 0.1])
@pytest.mark.parametrize(("problems", "samples"), [(164, 1), (164, 10), (30, 5)])
def test_the_interval_of_a_difference_covers_the_true_one(
    problems: int, samples: int, gain: float
) -> None:
    generator = np.random.default_rng(problems + samples)
    truth = gain / 2
    covered = 0
    for _ in range(DRAWS):
        chance = generator.beta(0.5, 0.5, problems)
        better = chance + gain * (1 - chance)
        a, b = generator.binomial(samples, chance), generator.binomial(samples, better)
        interval = difference_interval(((b - a) / samples).tolist())
        covered += interval.low <= truth <= interval.high
    assert 0.95 - MARGIN <= covered / DRAWS <= 0.975


def test_a_suite_that_is_solved_whole_still_has_an_interval() -> None:
    whole, none = mean_interval([1.0] * 164), mean_interval([0.0] * 164)
    assert whole.estimate == whole.high == 1.0
    assert 0.97 < whole.low < 0.99
    assert none.low == none.estimate == 0.0
    assert none.high == pytest.approx(1 - whole.low)


def test_equal_results_differ_by_no_more_than_chance_allows() -> None:
    interval = difference_interval([0.0] * 164)
    assert interval.estimate == 0.0
    assert interval.low == -interval.high
    assert 0.005 < interval.high < 0.03


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(4, 2.776), (9, 2.262), (19, 2.093), (163, 1.975), (10**6, 1.960)]
)
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=0.01)
