"""Signal-to-noise of gradients: by hand, and over gradients of which it is known."""

import math

import numpy as np
import pytest

from learner.algorithm.gradient_signal import (
    GramSet,
    agreement,
    compare_signals,
    signal_to_noise,
)


def gram_of(gradients) -> np.ndarray:
    table = np.array(gradients, dtype=float)
    return table @ table.T


def test_a_case_by_hand() -> None:
    """Mean (2, 0); variance 1; the squared mean 4, less the variance over 3 groups."""
    gram = gram_of([(2, 0), (2, 1), (2, -1)])
    assert signal_to_noise(gram) == pytest.approx(11 / 3)


def test_a_group_that_counts_twice_is_not_compared_with_itself() -> None:
    gram = gram_of([(2, 0), (2, 1), (2, -1)])
    counts = np.array([2, 1, 0])
    assert signal_to_noise(gram, counts) == pytest.approx(4 / (13 / 3 - 4))
    assert math.isnan(signal_to_noise(gram, np.array([3, 0, 0])))


def test_the_scale_of_the_gradients_does_not_matter() -> None:
    gram = gram_of(np.random.default_rng(0).normal(0.3, 1, (9, 5)))
    assert signal_to_noise(gram * 49) == pytest.approx(signal_to_noise(gram))


def test_one_group_has_no_variance() -> None:
    with pytest.raises(ValueError, match="at least two, not 1"):
        signal_to_noise(gram_of([(1, 2)]))


def test_the_interval_holds_a_known_ratio_as_often_as_it_says() -> None:
    """Gradients of 20 numbers with mean .2 and variance 1 each: a ratio of .04."""
    generator = np.random.default_rng(1)
    ratios, held = [], 0
    for seed in range(100):
        gram = gram_of(generator.normal(0.2, 1, (60, 20)))
        estimate = compare_signals(GramSet("none", {"none": gram}, {}), 200, seed)["none"].ratio
        ratios.append(estimate.value)
        held += estimate.low <= 0.04 <= estimate.high
    assert np.mean(ratios) == pytest.approx(0.04, abs=0.005)
    assert 88 <= held <= 100


def pair_of(masked: np.ndarray, whole: np.ndarray) -> GramSet:
    own = {"fgo": gram_of(masked), "none": gram_of(whole)}
    return GramSet("none", own, {"fgo": masked @ whole.T})


def test_differences_are_paired() -> None:
    """The same noise twice, once with less of it: the difference is certain, the ratios are not."""
    noise = np.random.default_rng(2).normal(0, 1, (40, 30))
    found = compare_signals(pair_of(0.3 + 0.7 * noise, 0.3 + noise))
    fgo, none = found["fgo"], found["none"]
    assert none.difference is None
    assert none.agreement is None
    assert none.ratio.high > fgo.ratio.low
    assert fgo.difference is not None
    assert 0 < fgo.difference.low < fgo.difference.value < fgo.difference.high


def test_a_mask_that_takes_noise_away_agrees_and_one_that_turns_the_gradient_does_not() -> None:
    generator = np.random.default_rng(3)
    signal = np.zeros(20)
    signal[0] = 3.0
    turned = np.roll(signal, 1)
    whole = signal + generator.normal(0, 1, (200, 20))
    quieter = pair_of(signal + generator.normal(0, 0.3, (200, 20)), whole)
    crossing = pair_of(signal + turned + generator.normal(0, 0.3, (200, 20)), whole)
    for grams, cosine in ((quieter, 1.0), (crossing, 0.5**0.5)):
        value = agreement(grams.own["fgo"], grams.own["none"], grams.crossed["fgo"])
        assert value == pytest.approx(cosine, abs=0.05)


def test_some_of_the_groups_are_as_if_there_were_no_others() -> None:
    table = np.random.default_rng(4).normal(0.3, 1, (9, 5))
    grams = pair_of(0.5 * table, table)
    some = [1, 4, 8]
    apart = pair_of(0.5 * table[some], table[some])
    assert len(grams.of(some)) == 3
    assert compare_signals(grams.of(some), 50) == compare_signals(apart, 50)
