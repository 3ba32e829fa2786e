"""Signal and noise of the policy gradient over the groups of a batch, from their inner products."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Gram = NDArray[np.float64]
"""[groups, groups], inner products of the groups' gradients."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval over groups."""

    value: float
    low: float
    high: float


def signal_to_noise(gram: Gram, counts: NDArray[np.int64] | None = None) -> float:
    """The squared mean gradient over its variance from group to group: `|E g|^2 / E |g - E g|^2`.

    Both are estimated without bias: the squared mean from the inner products of different groups
    only. With as many groups as `1 / ratio` a batch's gradient is half signal. Below 0 where the
    noise hides the signal; NaN where all groups are one.

    Args:
        gram: of the groups.
        counts: how often each group counts; None counts each once.

    Raises:
        ValueError: there are fewer than two groups.
    """
    if len(gram) < 2:
        raise ValueError(f"a variance over groups needs at least two, not {len(gram)}")
    weights = np.ones(len(gram)) if counts is None else counts.astype(np.float64)
    own, total = np.diag(gram), weights.sum()
    pairs = total**2 - (weights**2).sum()
    if not pairs:
        return float("nan")
    signal = (weights @ gram @ weights - (weights**2 * own).sum()) / pairs
    noise = (weights * own).sum() / total - signal
    return float(signal / noise) if noise else float("inf") if signal else float("nan")


def compare_signals(
    grams: Mapping[str, Gram], baseline: str, resamples: int = 2000, seed: int = 0
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """`signal_to_noise` of several masks over the same groups, with intervals.

    The intervals are those of the bootstrap over groups, drawn once for all masks, so that
    differences are paired.

    Args:
        grams: by mask, of the same groups in the same order.
        baseline: the mask that the others are compared with.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The ratio of each mask; and the difference of each other mask from the baseline.

    Raises:
        ValueError: there are fewer than two groups.
    """
    groups = len(grams[baseline])
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(groups, [1 / groups] * groups, size=resamples)
    ratios = {name: signal_to_noise(gram) for name, gram in grams.items()}
    resampled = {
        name: np.array([signal_to_noise(gram, counts) for counts in drawn])
        for name, gram in grams.items()
    }
    return (
        {name: _estimate(ratios[name], resampled[name]) for name in grams},
        {
            name: _estimate(ratios[name] - ratios[baseline], resampled[name] - resampled[baseline])
            for name in grams
            if name != baseline
        },
    )


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    known = resampled[np.isfinite(resampled)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high))
