"""pass@k, and intervals of means over problems.

A problem is the unit that is drawn: its samples share their difficulty, so they are one cluster,
and every interval is of a mean over problems (Miller, "Adding Error Bars to Evals", 2024, section
2.2). It covers what the figure would be on all problems of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

CONFIDENCE = 0.95
_EQUAL = 1e-12
"""Variance below which values count as equal."""
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    estimate: float
    low: float
    high: float
    problems: int
    """Number of problems that it is a mean over."""


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The probability that at least one of `k` samples passes, without bias.

    This is the share of the k-subsets of the drawn samples that hold a passing one: 1 - C(n - c, k)
    / C(n, k) (Chen et al., "Evaluating Large Language Models Trained on Code", 2021, equation 1).

    Args:
        samples: n, the samples drawn.
        passed: c, those that passed.
        k: at least 1, at most n.

    Raises:
        ValueError: `k` samples cannot be taken from n, or c is not within 0 and n.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples of a problem, not {samples}")
    if not 0 <= passed <= samples:
        raise ValueError(f"{passed} of {samples} samples cannot have passed")
    return 1 - math.comb(samples - passed, k) / math.comb(samples, k)


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of one value per problem, each within 0 and 1, with Wilson's interval.

    Wilson's interval is one of a share of independent trials. Here their number is the effective
    one, mean * (1 - mean) / (squared standard error): for values that are 0 or 1 nearly the number
    of problems, and more where each value is itself a mean (Korn & Graubard 1998; Dean & Pagano
    2015). Unlike the mean plus or minus 1.96 standard errors it stays within 0 and 1, and has a
    width where every problem passed.

    Raises:
        ValueError: there are no values.
    """
    problems = len(values)
    if not problems:
        raise ValueError("a mean over no problems")
    mean = fmean(values)
    binary = mean * (1 - mean)
    spread = variance(values) if problems > 1 else 0.0
    # Equal values say nothing of their spread: they count as single trials.
    trials = problems * binary / spread if spread > _EQUAL else float(problems)
    z = t_quantile(problems - 1)
    scale = 1 + z**2 / trials
    center = (mean + z**2 / (2 * trials)) / scale
    half = z * math.sqrt(binary / trials + z**2 / (4 * trials**2)) / scale
    low, high = max(0.0, center - half), min(1.0, center + half)
    return Interval(mean, min(low, mean), max(high, mean), problems)


def difference_interval(differences: Sequence[float]) -> Interval:
    """The mean of one difference per problem, each within -1 and 1, with its interval.

    Two problems are added for the interval's centre and width, one without a difference and one
    half won and half lost, as Agresti & Min (2005) do for paired shares; two results that agree on
    every problem still have an interval with a width. The one that is won and lost differs by as
    much as those do that differ.

    Raises:
        ValueError: there are no differences.
    """
    problems = len(differences)
    if not problems:
        raise ValueError("a mean over no problems")
    total, squares = sum(differences), sum(value * value for value in differences)
    differing = sum(value != 0 for value in differences)
    added = squares / differing if differing else 1.0
    center = total / (problems + 2)
    spread = (squares + added) / (problems + 2) - center**2
    half = t_quantile(problems + 1) * math.sqrt(max(0.0, spread) / (problems + 2))
    mean = total / problems
    low, high = max(-1.0, center - half), min(1.0, center + half)
    return Interval(mean, min(low, mean), max(high, mean), problems)


def t_quantile(freedom: int) -> float:
    """The quantile of Student's t that leaves 2.5 % above it, by its expansion around the normal's.

    Within 0.01 from 4 degrees of freedom on (Abramowitz & Stegun 26.7.5); fewer count as 4.
    """
    z, nu = _Z, max(freedom, 4)
    terms = (
        z**3 + z,
        5 * z**5 + 16 * z**3 + 3 * z,
        3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z,
    )
    divisors = 4 * nu, 96 * nu**2, 384 * nu**3
    return z + sum(term / divisor for term, divisor in zip(terms, divisors, strict=True))
