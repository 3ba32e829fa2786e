"""Power: which difference between two arms a grid can see, written down before it is run.

The measured pass@1 of an arm's seed on a tier varies around the arm's mean for two reasons: the
training (standard deviation `training`, what is left when the seed's effect on all arms is taken
away), and the sampling of n completions of each of N problems (variance `sample` / (N n)). The
difference of two arms over S seeds has the standard error

    sqrt(2 (training^2 + sample / (N n)) / S)

and is judged by a t test with S - 1 degrees of freedom. Larger held-out sets lessen the second term
only; where the first one rules, only seeds help.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from deploy.ablation.student import power_of_t

POWER = 0.8
MOST_SEEDS = 100


@dataclass(frozen=True)
class Spread:
    """How the measured pass@1 of one arm varies on one tier."""

    training: float
    """Standard deviation between seeds by training alone, the seed's common effect taken away."""
    sample: float
    """Variance of one completion around its problem's own pass rate."""

    @classmethod
    def measured(cls, residual: float, sample: float, problems: int, samples: int) -> Spread:
        """Take the sampling apart from a residual deviation measured with so many completions.

        Args:
            residual: `residual_deviation` of arms by seeds.
            sample: `sample_variance`.
            problems: held-out problems of the tier.
            samples: completions of each.
        """
        training = residual**2 - sample / (problems * samples)
        return cls(math.sqrt(max(0.0, training)), sample)

    def standard_error(self, problems: int, samples: int, seeds: int) -> float:
        """Of the paired difference of two arms."""
        variance = self.training**2 + self.sample / (problems * samples)
        return math.sqrt(2 * variance / seeds)


PILOT = {
    "competition": Spread.measured(0.0280, 0.101, 100, 4),
    "overall": Spread.measured(0.0230, 0.100, 300, 4),
}
"""Of five arms (full, without FGO, without CCCS, plain PPO, adaptive) with seeds 1 to 3 of the
smoke profile, 100 held-out problems a tier with 4 samples, 26 November 2026. `adaptive` has twice
the spread of the others: without it the residuals are 0.019 and 0.020. The variance of a sample
follows from the intervals of one such run, which are clustered by problem: 0.105 (0.076 to 0.143)
on competition, 0.578 (0.530 to 0.623) overall."""


def smallest_difference(
    spread: Spread, problems: int, samples: int, seeds: int, power: float = POWER
) -> float | None:
    """The smallest true difference that is seen with this power; None with fewer than two seeds."""
    if seeds < 2:
        return None
    low, high = 0.0, 1.0
    while power_of_t(high, seeds - 1) < power:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if power_of_t(middle, seeds - 1) < power:
            low = middle
        else:
            high = middle
    return high * spread.standard_error(problems, samples, seeds)


def seeds_needed(
    spread: Spread, problems: int, samples: int, difference: float, power: float = POWER
) -> int | None:
    """The fewest seeds that see a true difference with this power; None above `MOST_SEEDS`."""

    def see_it(seeds: int) -> bool:
        shift = difference / spread.standard_error(problems, samples, seeds)
        return power_of_t(shift, seeds - 1) >= power

    seeds = 2 + bisect_left(range(2, MOST_SEEDS + 1), True, key=see_it)
    return seeds if seeds <= MOST_SEEDS else None
