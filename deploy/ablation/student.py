"""Student's t: its distribution, its quantiles, and the power of its test.

The standard library has the normal distribution alone. With five seeds, four degrees of freedom,
the normal's interval would be too narrow by a third.
"""

from __future__ import annotations

import math
from functools import cache

_TINY = 1e-300
_EQUAL = 1e-15
_MOST_TERMS = 500
_POINTS = 800
"""Intervals of Simpson's rule; even."""


def t_cdf(t: float, freedom: float) -> float:
    """The probability that Student's t is at most `t`.

    Args:
        t: the value.
        freedom: degrees of freedom, above 0.
    """
    tail = 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))
    return 1 - tail if t > 0 else tail


@cache
def t_quantile(probability: float, freedom: float) -> float:
    """The value that Student's t is at most with a probability between 0 and 1."""
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    while high - low > 1e-12 * max(1.0, high):
        middle = (low + high) / 2
        if t_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def power_of_t(shift: float, freedom: int, confidence: float = 0.95) -> float:
    """The probability that a two-sided t test sees a difference, in the direction that it has.

    The statistic is (Z + shift) / U with Z standard normal and U the square root of chi-squared /
    freedom: the probability is integrated over U.

    Args:
        shift: the true difference divided by the standard error of its estimate.
        freedom: degrees of freedom of the standard error.
        confidence: of the test.
    """
    critical = t_quantile(0.5 + confidence / 2, freedom)
    half = freedom / 2
    constant = math.log(2) + half * math.log(half) - math.lgamma(half)
    end = 1 + 12 / math.sqrt(freedom)
    width = end / _POINTS

    def density(u: float) -> float:
        if u == 0:
            return math.exp(constant) if freedom == 1 else 0.0
        return math.exp(constant + (freedom - 1) * math.log(u) - half * u * u)

    total = 0.0
    for point in range(_POINTS + 1):
        u = point * width
        weight = 1 if point in (0, _POINTS) else 4 if point % 2 else 2
        seen = 0.5 * math.erfc((critical * u - shift) / math.sqrt(2))
        total += weight * density(u) * seen
    return total * width / 3


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Abramowitz & Stegun
    26.5.8), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log1p(-x)) / a
    value, c, d = 1.0, 1.0, 0.0
    for term in range(_MOST_TERMS):
        m = term // 2
        if term == 0:
            numerator = 1.0
        elif term % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + numerator * d)
        c = _away_from_zero(1 + numerator / c)
        value *= c * d
        if abs(1 - c * d) < _EQUAL:
            break
    return front * (value - 1)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
