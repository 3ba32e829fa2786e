"""Student's t: quantiles of intervals over seeds, and the power of its test.

With five seeds, four degrees of freedom, the normal distribution's interval would be too narrow by
a third.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import scipy.stats

_student: Any = scipy.stats.t
_noncentral: Any = scipy.stats.nct


def t_cdf(t: float, freedom: float) -> float:
    """The probability that Student's t is at most `t`.

    Args:
        t: the value.
        freedom: degrees of freedom, above 0.
    """
    return float(_student.cdf(t, freedom))


@cache
def t_quantile(probability: float, freedom: float) -> float:
    """The value that Student's t is at most with a probability between 0 and 1."""
    return float(_student.ppf(probability, freedom))


def power_of_t(shift: float, freedom: int, confidence: float = 0.95) -> float:
    """The probability that a two-sided t test sees a difference, in the direction that it has.

    Args:
        shift: the true difference divided by the standard error of its estimate.
        freedom: degrees of freedom of the standard error.
        confidence: of the test.
    """
    return float(_noncentral.sf(t_quantile(0.5 + confidence / 2, freedom), freedom, shift))
