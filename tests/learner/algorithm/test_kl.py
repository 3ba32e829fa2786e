"""The KL estimators: by hand, and their exact expectations."""

import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.algorithm.kl import kl_estimate

Estimator = Literal["k1", "k2", "k3"]
seeds = st.integers(0, 10_000)


def distributions(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a policy and log-probabilities of a reference over five tokens."""
    generator = torch.Generator().manual_seed(seed)
    logits, other = torch.randn(2, 5, dtype=torch.float64, generator=generator)
    return logits.requires_grad_(), other.log_softmax(-1)


def true_kl(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    logprobs = logits.log_softmax(-1)
    return (logprobs.exp() * (logprobs - reference)).sum()


@pytest.mark.parametrize(
    ("estimator", "expected"), [("k1", -2.0), ("k2", 2.0), ("k3", math.exp(2) - 3)]
)
def test_estimators_by_hand(estimator: Estimator, expected: float) -> None:
    actual = kl_estimate(torch.tensor([-3.0]), torch.tensor([-1.0]), estimator)
    assert actual.tolist() == pytest.approx([expected])


@given(seed=seeds)
def test_k1_and_k3_are_unbiased_and_k2_is_half_the_mean_square(seed: int) -> None:
    logits, reference = distributions(seed)
    logprobs = logits.detach().log_softmax(-1)
    p, difference = logprobs.exp().numpy(), (logprobs - reference).numpy()
    expectations: dict[Estimator, float] = {
        "k1": np.sum(p * difference),
        "k2": np.sum(p * difference**2 / 2),
        "k3": np.sum(p * difference),
    }
    for estimator, expected in expectations.items():
        actual = (logprobs.exp() * kl_estimate(logprobs, reference, estimator)).sum()
        assert float(actual) == pytest.approx(expected, abs=1e-9)


@given(seed=seeds)
def test_the_gradient_of_k2_is_that_of_the_kl_and_of_k1_is_zero(seed: int) -> None:
    """The expectation over tokens sampled from the policy, which are not differentiated."""
    logits, reference = distributions(seed)
    (expected,) = torch.autograd.grad(true_kl(logits, reference), logits)
    gradients: dict[Estimator, torch.Tensor] = {
        "k2": expected,
        "k1": torch.zeros(5, dtype=torch.float64),
    }
    for estimator, gradient in gradients.items():
        logprobs = logits.log_softmax(-1)
        loss = (logprobs.detach().exp() * kl_estimate(logprobs, reference, estimator)).sum()
        (actual,) = torch.autograd.grad(loss, logits)
        torch.testing.assert_close(actual, gradient, atol=1e-9, rtol=1e-9)


@given(seed=seeds)
def test_k3_is_never_negative(seed: int) -> None:
    logprobs, reference = torch.randn(2, 9, generator=torch.Generator().manual_seed(seed))
    assert (kl_estimate(logprobs, reference, "k3") >= 0).all()


def test_an_enormous_difference_stays_finite() -> None:
    actual = kl_estimate(torch.tensor([-900.0, 900.0]), torch.zeros(2), "k3")
    assert torch.isfinite(actual).all()
