"""One-sample estimates of the Kullback-Leibler divergence per token (Schulman, 2020, "Approximating
KL divergence").
"""

from typing import Literal

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Largest absolute log-ratio that is given to `exp` [nats]."""


def kl_estimate(
    logprobs: Tensor, reference_logprobs: Tensor, estimator: Literal["k1", "k2", "k3"]
) -> Tensor:
    """KL(policy || reference) of tokens sampled from the policy, in nats; differentiable.

    With d = logprobs - reference_logprobs:

    - k1 = d, unbiased, may be negative;
    - k2 = d^2 / 2, biased, its gradient is that of the KL (Tang & Munos, 2025, "On a few pitfalls
      in KL divergence gradient estimation for RL");
    - k3 = exp(-d) - 1 + d, unbiased, never negative (DeepSeekMath, Shao et al., 2024, eq. 4).

    Args:
        logprobs: under the policy that sampled, any shape.
        reference_logprobs: of the same tokens under the reference, the same shape.
        estimator: one of the above.
    """
    difference = logprobs - reference_logprobs
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference.square() / 2
    bounded = difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return torch.expm1(-bounded) + bounded
