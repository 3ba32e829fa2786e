"""When log-probabilities of two computations agree, by precision."""

import math
import random

import pytest

from learner.agreement import LogprobDifference, logprob_difference

NAN = float("nan")


def test_the_statistics_by_hand() -> None:
    differences = [0.0] * 97 + [1.0, 2.0, 9.0]
    random.Random(0).shuffle(differences)
    assert logprob_difference(differences) == LogprobDifference(9.0, 2.0, 0.12)
    assert logprob_difference([3.0]) == LogprobDifference(3.0, 3.0, 3.0)
    assert logprob_difference([]) == LogprobDifference(0.0, 0.0, 0.0)
    assert math.isnan(logprob_difference([0.0, NAN, 1.0]).p99)


@pytest.mark.parametrize(
    ("difference", "exact", "limit", "named"),
    [
        (LogprobDifference(5e-5, 1e-5, 1e-6), True, None, []),
        (LogprobDifference(2e-4, 1e-5, 1e-6), True, None, ["largest difference is 0.0002"]),
        (LogprobDifference(3.0, 0.3, 0.05), False, None, []),  # one token says nothing
        (LogprobDifference(3.0, 0.6, 0.05), False, None, ["99th percentile is 0.6"]),
        (LogprobDifference(3.0, 0.3, 0.2), False, None, ["mean difference is 0.2"]),
        (LogprobDifference(3.0, 0.3, 0.05), False, 0.2, ["99th percentile", "mean difference"]),
        (LogprobDifference(NAN, NAN, NAN), True, None, ["largest difference is nan"]),
        (LogprobDifference(NAN, NAN, NAN), False, None, ["99th percentile", "mean difference"]),
    ],
)
def test_float32_judges_every_token_and_bfloat16_the_mean_and_a_percentile(
    difference: LogprobDifference, exact: bool, limit: float | None, named: list[str]
) -> None:
    violation = difference.violation(exact, limit)
    assert len(list(filter(None, violation.split("; ")))) == len(named)
    assert all(name in violation for name in named)
