"""Rewards per token, GAE and whitening against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.algorithm.advantage import (
    dr_grpo,
    explained_variance,
    gae,
    grpo,
    reward_to_go,
    rloo,
    token_rewards,
    whiten,
)

seeds = st.integers(0, 10_000)


def random_batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rewards, values and a mask whose responses have 0 to 6 tokens; noise outside the mask."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 7, (5,), generator=generator)
    mask = torch.arange(6) < lengths[:, None]
    rewards, values = torch.randn(2, 5, 6, generator=generator)
    return rewards, values, mask


@given(seed=seeds, gamma=st.sampled_from([1.0, 0.9]), lam=st.sampled_from([0.0, 0.95, 1.0]))
def test_gae_equals_its_definition(seed: int, gamma: float, lam: float) -> None:
    rewards, values, mask = random_batch(seed)
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    for row, length in enumerate(mask.sum(-1).tolist()):
        r, v = rewards[row].tolist(), [*values[row, :length].tolist(), 0.0]
        deltas = [r[t] + gamma * v[t + 1] - v[t] for t in range(length)]
        expected = [
            sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, length))
            for t in range(length)
        ]
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-5)
        total = [a + b for a, b in zip(expected, v, strict=False)]
        assert returns[row, :length].tolist() == pytest.approx(total, abs=1e-5)
        assert not advantages[row, length:].any()
        assert not returns[row, length:].any()


def test_with_gamma_and_lambda_one_a_return_is_the_sum_of_later_rewards() -> None:
    rewards = torch.tensor([[0.5, 0.0, 2.0, 99.0]])
    values = torch.tensor([[3.0, -1.0, 4.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    _, returns = gae(rewards, values, mask, 1.0, 1.0)
    assert returns.tolist() == [[2.5, 2.0, 2.0, 0.0]]


def test_nan_outside_the_mask_changes_nothing() -> None:
    rewards, values, mask = random_batch(3)
    expected = gae(rewards, values, mask, 1.0, 0.95)
    nan = torch.where(mask, 0.0, float("nan"))
    for actual, clean in zip(
        gae(rewards + nan, values + nan, mask, 1.0, 0.95), expected, strict=True
    ):
        assert torch.equal(actual, clean)


def test_the_outcomes_reward_is_on_the_last_token() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    kl = torch.tensor([[0.2, -0.4, 9.0], [0.5, 7.0, 7.0], [7.0, 7.0, 7.0]])
    actual = token_rewards(torch.tensor([1.0, -0.6, 1.0]), kl, mask, 0.1, 2.0)
    expected = [[-0.02, 0.04, 1.0 - 0.2], [-0.6 - 0.05, 0.0, 0.0], [0.0, 0.0, 0.0]]
    torch.testing.assert_close(actual, torch.tensor(expected))


def test_rewards_sum_to_outcome_minus_kl() -> None:
    _, kl, mask = random_batch(1)
    outcome = torch.randn(5)
    actual = token_rewards(outcome, kl, mask, 0.05, 1e9).sum(-1)
    expected = torch.where(mask.any(-1), outcome, 0.0) - 0.05 * (kl * mask).sum(-1)
    torch.testing.assert_close(actual, expected)


def test_only_tokens_under_the_kl_mask_are_penalised() -> None:
    mask = torch.tensor([[True, True, True]])
    penalised = torch.tensor([[True, False, False]])
    actual = token_rewards(torch.tensor([1.0]), torch.ones(1, 3), mask, 0.1, 9.0, penalised)
    torch.testing.assert_close(actual, torch.tensor([[-0.1, 0.0, 1.0]]))


@given(seed=seeds, gamma=st.sampled_from([1.0, 0.9]))
def test_reward_to_go_is_the_discounted_sum(seed: int, gamma: float) -> None:
    rewards, _, mask = random_batch(seed)
    actual = reward_to_go(rewards, mask, gamma)
    for row, length in enumerate(mask.sum(-1).tolist()):
        r = rewards[row, :length].tolist()
        expected = [sum(gamma ** (k - t) * r[k] for k in range(t, length)) for t in range(length)]
        assert actual[row, :length].tolist() == pytest.approx(expected, abs=1e-5)
        assert not actual[row, length:].any()


GROUPS = torch.tensor([0, 1, 0, 0, 1, 2])
SCORES = torch.tensor([1.0, -0.3, -0.6, -0.3, -0.3, 1.0])


def test_grpo_by_hand() -> None:
    """Group 0: mean 1/30, deviations 29/30, -19/30, -10/30; group 1: equal scores; group 2: one."""
    spread = np.std([1.0, -0.6, -0.3])
    expected = [29 / 30 / spread, 0, -19 / 30 / spread, -10 / 30 / spread, 0, 0]
    assert grpo(SCORES, GROUPS).tolist() == pytest.approx(expected, rel=1e-5)


def test_dr_grpo_by_hand() -> None:
    means = [float(SCORES[group == GROUPS].mean()) for group in GROUPS.tolist()]
    expected = [float(score) - mean for score, mean in zip(SCORES, means, strict=True)]
    assert dr_grpo(SCORES, GROUPS).tolist() == pytest.approx(expected, abs=1e-6)


def test_rloo_by_hand() -> None:
    expected = [1.0 + 0.45, 0, -0.6 - 0.35, -0.3 - 0.2, 0, 0]
    assert rloo(SCORES, GROUPS).tolist() == pytest.approx(expected, rel=1e-5)


@given(seed=seeds)
def test_group_baselines_equal_numpy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=12).astype(np.float32)
    groups = generator.integers(0, 4, 12)
    whole, others = [], []
    for i, group in enumerate(groups):
        members = np.array([j for j in range(12) if groups[j] == group])
        rest = members[members != i]
        whole.append((scores[i] - scores[members].mean()) / (scores[members].std() + 1e-6))
        others.append(scores[i] - scores[rest].mean() if len(rest) else 0.0)
    actual = torch.tensor(scores)
    assert grpo(actual, torch.tensor(groups)).tolist() == pytest.approx(whole, abs=1e-3)
    assert rloo(actual, torch.tensor(groups)).tolist() == pytest.approx(others, abs=1e-5)


@pytest.mark.parametrize("size", [2, 7, 8, 1000])
def test_equal_scores_give_exactly_no_advantage(size: int) -> None:
    scores = torch.full((size,), -0.3)
    one_group = torch.zeros(size, dtype=torch.long)
    assert not grpo(scores, one_group).any()
    assert not rloo(scores, one_group).any()
    assert not dr_grpo(scores, one_group).any()


@given(seed=seeds)
def test_whitened_values_have_mean_zero_and_variance_one(seed: int) -> None:
    _, values, mask = random_batch(seed)
    actual = whiten(5 * values + 2, mask)
    assert not actual[~mask].any()
    if mask.sum() > 1:
        assert float(actual[mask].mean()) == pytest.approx(0, abs=1e-5)
        assert float(actual[mask].var(correction=0)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kept", [0, 1])
def test_whitening_nothing_or_one_value_gives_zero(kept: int) -> None:
    mask = torch.arange(4) < kept
    assert whiten(torch.full((4,), 3.0), mask).tolist() == [0.0] * 4


def test_explained_variance() -> None:
    mask = torch.tensor([[True, True, True, False]])
    returns = torch.tensor([[1.0, 2.0, 3.0, 50.0]])
    assert explained_variance(returns.clone(), returns, mask) == pytest.approx(1)
    assert explained_variance(torch.full_like(returns, 2.0), returns, mask) == pytest.approx(0)
    assert explained_variance(-returns, returns, mask) == pytest.approx(-3)
    assert explained_variance(returns, torch.ones_like(returns), mask) == 0.0
    assert explained_variance(returns, returns, torch.zeros_like(mask)) == 0.0
