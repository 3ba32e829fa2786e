"""Signal-to-noise of gradients: by hand, and over gradients of which it is known."""

import math

import numpy as np
import pytest

from learner.algorithm.gradient_signal import compare_signals, signal_to_noise


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
        estimate = compare_signals({"none": gram}, "none", resamples=200, seed=seed)[0]["none"]
        ratios.append(estimate.value)
        held += estimate.low <= 0.04 <= estimate.high
    assert np.mean(ratios) == pytest.approx(0.04, abs=0.005)
    assert 88 <= held <= 100


def test_differences_are_paired() -> None:
    """The same noise twice, once with less of it: the difference is certain, the ratios are not."""
    noise = np.random.default_rng(2).normal(0, 1, (40, 30))
    grams = {"none": gram_of(0.3 + noise), "fgo": gram_of(0.3 + 0.7 * noise)}
    ratios, differences = compare_signals(grams, "none")
    assert ratios["none"].high > ratios["fgo"].low
    assert list(differences) == ["fgo"]
    assert 0 < differences["fgo"].low < differences["fgo"].value < differences["fgo"].high
