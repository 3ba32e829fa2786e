"""Signal and noise of the policy gradient over the groups of a batch, from their inner products."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Gram = NDArray[np.float64]
"""[groups, groups], inner products of the groups' gradients."""


@dataclass(frozen=True)
class GramSet:
    """Inner products of the groups' gradients with several masks."""

    baseline: str
    """The mask that the others are compared with."""
    own: Mapping[str, Gram]
    """By mask."""
    crossed: Mapping[str, Gram]
    """By each mask but the baseline: of its gradients (rows) with those of the baseline."""

    def __len__(self) -> int:
        return len(self.own[self.baseline])

    def of(self, groups: Sequence[int]) -> "GramSet":
        """The same of some of the groups."""
        at = np.ix_(groups, groups)
        return GramSet(
            self.baseline,
            {mask: gram[at] for mask, gram in self.own.items()},
            {mask: gram[at] for mask, gram in self.crossed.items()},
        )


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval over groups."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Signal:
    """What one mask makes of the gradient."""

    ratio: Estimate
    """`signal_to_noise`."""
    difference: Estimate | None
    """Its difference from the baseline's, paired by group; None for the baseline."""
    agreement: Estimate | None
    """`agreement` with the baseline; None for the baseline."""


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
    return float(_ratios(gram, _weights(gram, counts))[0])


def agreement(
    gram: Gram, baseline: Gram, crossed: Gram, counts: NDArray[np.int64] | None = None
) -> float:
    """The cosine between the mean gradients of two masks, each estimated as the signal is.

    1 where the mask takes noise alone away; less where it turns the gradient. Above 1 or NaN where
    the noise hides the signals.
    """
    return float(_cosines(gram, baseline, crossed, _weights(gram, counts))[0])


def compare_signals(grams: GramSet, resamples: int = 2000, seed: int = 0) -> dict[str, Signal]:
    """The signals of several masks over the same groups, with intervals.

    The intervals are those of the bootstrap over groups, drawn once for all masks, so that
    differences are paired.

    Args:
        grams: of the groups.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: there are fewer than two groups.
    """
    groups = len(grams)
    if groups < 2:
        raise ValueError(f"a variance over groups needs at least two, not {groups}")
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(groups, [1 / groups] * groups, size=resamples)
    weights = np.vstack([np.ones(groups), drawn]).astype(np.float64)
    baseline = grams.own[grams.baseline]
    compared = _ratios(baseline, weights)
    found: dict[str, Signal] = {}
    for mask, gram in grams.own.items():
        if mask == grams.baseline:
            found[mask] = Signal(_estimate(compared), None, None)
            continue
        own = _ratios(gram, weights)
        cosines = _cosines(gram, baseline, grams.crossed[mask], weights)
        found[mask] = Signal(_estimate(own), _estimate(own - compared), _estimate(cosines))
    return found


def _weights(gram: Gram, counts: NDArray[np.int64] | None) -> NDArray[np.float64]:
    return np.ones((1, len(gram))) if counts is None else counts.astype(np.float64)[None]


def _ratios(gram: Gram, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`signal_to_noise` for each row of weights."""
    signal = _mean_products(gram, weights)
    noise = weights @ np.diag(gram) / weights.sum(1) - signal
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(signal / noise)


def _cosines(
    gram: Gram, baseline: Gram, crossed: Gram, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`agreement` for each row of weights."""
    signals = _mean_products(gram, weights) * _mean_products(baseline, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = _mean_products(crossed, weights) / np.sqrt(signals)
    return np.where(signals > 0, cosines, np.nan)


def _mean_products(products: Gram, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean inner product of gradients of different groups; NaN where all groups are one."""
    squares = weights**2
    pairs = weights.sum(1) ** 2 - squares.sum(1)
    total = ((weights @ products) * weights).sum(1) - squares @ np.diag(products)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(pairs > 0, total / pairs, np.nan)


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """The first value, with the interval of the others."""
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))
