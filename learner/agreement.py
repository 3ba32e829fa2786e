"""Whether two computations of the same log-probabilities agree: the trainer's and an engine's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

EXACT_LIMIT = 1e-4
"""Largest difference of any token where both sides compute in float32 [nats]."""
ROUNDED_LIMIT = 0.5
"""Largest 99th percentile where a side computes in bfloat16 [nats]. Qwen2.5-Coder-0.5B and
SmolLM2-135M in bfloat16 differ from float32 by a mean of 0.02 to 0.03, a 99th percentile of 0.12 to
0.17 and a maximum of 0.4 on 1,024 tokens of Python.
"""
MEAN_SHARE = 0.2
"""Limit of the mean, as a share of the limit of the 99th percentile."""


@dataclass(frozen=True)
class LogprobDifference:
    """Absolute differences of the log-probabilities of some tokens [nats]."""

    largest: float
    """Of any token; NaN if any is NaN."""
    p99: float
    """The 99th percentile."""
    mean: float
    """The mean."""

    def violation(self, exact: bool, limit: float | None) -> str:
        """What exceeds its limit, with both numbers; empty where nothing does.

        In float32 every token must agree. In bfloat16 the maximum grows with the number of tokens
        and says little, so the 99th percentile and the mean are judged.

        Args:
            exact: whether both sides compute in float32.
            limit: of the maximum where `exact`, else of the 99th percentile, with the mean's at
                `MEAN_SHARE` of it; None takes the default for the precision.
        """
        if exact:
            judged = {"largest difference": (self.largest, limit or EXACT_LIMIT)}
        else:
            limit = limit or ROUNDED_LIMIT
            judged = {
                "99th percentile": (self.p99, limit),
                "mean difference": (self.mean, limit * MEAN_SHARE),
            }
        return "; ".join(
            f"the {name} is {value:.3g} nats, the limit is {most:g}"
            for name, (value, most) in judged.items()
            if not value <= most  # also where it is NaN
        )


def logprob_difference(differences: Sequence[float]) -> LogprobDifference:
    """Statistics of absolute differences; all zero where there are none.

    NaN if any is NaN: `max` alone would pass over it.
    """
    if not differences:
        return LogprobDifference(0.0, 0.0, 0.0)
    if any(map(math.isnan, differences)):
        return LogprobDifference(math.nan, math.nan, math.nan)
    ordered = sorted(differences)
    rank = math.ceil(0.99 * len(ordered)) - 1
    return LogprobDifference(ordered[-1], ordered[rank], math.fsum(ordered) / len(ordered))


def compare_logprobs(
    expected: Sequence[Sequence[float]], actual: Sequence[Sequence[float]]
) -> LogprobDifference:
    """How two sets of the log-probabilities of the same tokens differ, sequence by sequence [nats].

    Raises:
        ValueError: they are not of the same tokens.
    """
    return logprob_difference(
        [
            abs(a - b)
            for wanted, given in zip(expected, actual, strict=True)
            for a, b in zip(wanted, given, strict=True)
        ]
    )
