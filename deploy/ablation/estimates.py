"""Estimates over seeds: means, paired differences, and the spread behind them.

A seed is the unit that is drawn: an arm's value of a seed is one number, and intervals are
Student's t over seeds. They speak of the held-out problems that were asked. How far a difference
carries to other problems of the same kind is a second interval, clustered by problem
(`actors.evaluation.statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from actors.evaluation.statistics import CONFIDENCE
from deploy.ablation.student import t_cdf, t_quantile

FEWEST_SEEDS = 3
"""Seeds below which there is no interval: with two, Student's t is 12.7 standard errors wide."""
_EQUAL = 1e-12
"""Standard deviation below which values count as equal."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    mean: float
    seeds: int
    low: float | None = None
    """Lower end of the 95 % interval; None with fewer seeds than `FEWEST_SEEDS`."""
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """The difference of arm `a` less arm `b` over the seeds that both have."""

    values: Mapping[int, float]
    """By seed."""
    estimate: Estimate

    @property
    def in_favour(self) -> int:
        """Seeds in which `a` is above `b`."""
        return sum(value > 0 for value in self.values.values())

    def confidence_above(self, margin: float) -> float | None:
        """The confidence at which a two-sided interval lies above `margin`, from 0 to 1.

        0 where the mean is at or below the margin; None with too few seeds for an interval.
        """
        if self.estimate.low is None:
            return None
        values = list(self.values.values())
        distance = self.estimate.mean - margin
        spread = stdev(values)
        if spread < _EQUAL:
            return float(distance > 0)
        t = distance / (spread / math.sqrt(len(values)))
        return max(0.0, 2 * t_cdf(t, len(values) - 1) - 1)


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one value per seed, with its 95 % t-interval where there are enough seeds.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a mean over no seeds")
    mean = fmean(values)
    if len(values) < FEWEST_SEEDS:
        return Estimate(mean, len(values))
    t = t_quantile(0.5 + CONFIDENCE / 2, len(values) - 1)
    half = t * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, len(values), mean - half, mean + half)


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """The difference between two arms, paired by seed; None where they share none."""
    values = {seed: a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())}
    return Difference(values, mean_over_seeds(list(values.values()))) if values else None


def residual_deviation(table: Sequence[Sequence[float]]) -> float | None:
    """What is left of arms by seeds when both their means are taken away: a standard deviation.

    Seeds that are easy for every arm do not count: they cancel in paired differences, whose
    variance is twice its square. None with fewer than two arms or two seeds.

    Args:
        table: a row per arm, a column per seed.
    """
    arms, seeds = len(table), len(table[0]) if table else 0
    if arms < 2 or seeds < 2:
        return None
    rows = [fmean(row) for row in table]
    columns = [fmean(column) for column in zip(*table, strict=True)]
    whole = fmean(rows)
    squares = sum(
        (value - rows[i] - columns[j] + whole) ** 2
        for i, row in enumerate(table)
        for j, value in enumerate(row)
    )
    return math.sqrt(squares / ((arms - 1) * (seeds - 1)))


def sample_variance(passed: Sequence[int], judged: Sequence[int]) -> float | None:
    """Variance of one sample of a problem around the problem's own rate, mean over problems.

    From n samples, p (1 - p) n / (n - 1) is its estimate without bias. The measured rate of `N`
    problems with `n` samples each varies by this over N n from nothing but sampling. None where no
    problem has two judged samples.
    """
    shares = [(p / n, n) for p, n in zip(passed, judged, strict=True) if n > 1]
    if not shares:
        return None
    return fmean(rate * (1 - rate) * n / (n - 1) for rate, n in shares)


def samples_to_reach(curve: Sequence[tuple[float, float]], level: float) -> float | None:
    """Samples at which a curve first reaches a level, between evaluations on a straight line.

    Args:
        curve: training samples and rate of each evaluation, in order.
        level: the rate.

    Returns:
        None where no evaluation reaches it.
    """
    before: tuple[float, float] | None = None
    for samples, rate in curve:
        if rate >= level:
            if before is None or rate == before[1]:
                return samples
            return before[0] + (samples - before[0]) * (level - before[1]) / (rate - before[1])
        before = samples, rate
    return None


def rerun_deviation(reruns: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation between reruns of one seed, pooled; None where no seed has two.

    Args:
        reruns: the values of each seed's reruns.
    """
    several = [values for values in reruns if len(values) > 1]
    if not several:
        return None
    squares = sum((value - fmean(values)) ** 2 for values in several for value in values)
    return math.sqrt(squares / sum(len(values) - 1 for values in several))
