"""PPO's losses by hand, and their independence of tokens outside the mask."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.algorithm.loss import importance_weights, kl_loss, policy_loss, value_loss

KEEP = torch.tensor([True])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.1, 2.0, -2.2, -2.2),
        (1.5, 2.0, -2.6, 0.0),  # clipped at 1 + 0.3
        (0.5, 2.0, -1.0, -1.0),  # the lower bound does not hold gains back
        (0.5, -2.0, 1.6, 0.0),  # clipped at 1 - 0.2
        (1.5, -2.0, 3.0, 3.0),  # the upper bound does not excuse losses
    ],
)
def test_clipped_surrogate_by_hand(
    ratio: float, advantage: float, loss: float, gradient: float
) -> None:
    logprobs = torch.tensor([math.log(ratio) - 1], requires_grad=True)
    actual = policy_loss(logprobs, torch.tensor([-1.0]), torch.tensor([advantage]), KEEP, 0.2, 0.3)
    actual.total.backward()
    assert float(actual.total.detach()) == pytest.approx(loss, rel=1e-5)
    assert logprobs.grad is not None
    assert float(logprobs.grad) == pytest.approx(gradient, rel=1e-5)
    assert int(actual.clipped) == int(not 0.8 <= ratio <= 1.3)
    assert float(actual.max_deviation) == pytest.approx(abs(ratio - 1), abs=1e-6)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.5, -2.0, 3.0, 3.0),  # below the bound: as without it
        (4.0, -2.0, 6.0, 0.0),  # 3 times the advantage at most
        (4.0, 2.0, -2.6, 0.0),  # no bound on gains beside the ordinary clip
    ],
)
def test_dual_clip_by_hand(ratio: float, advantage: float, loss: float, gradient: float) -> None:
    logprobs = torch.tensor([math.log(ratio) - 1], requires_grad=True)
    actual = policy_loss(
        logprobs, torch.tensor([-1.0]), torch.tensor([advantage]), KEEP, 0.2, 0.3, dual_clip=3.0
    )
    actual.total.backward()
    assert float(actual.total.detach()) == pytest.approx(loss, rel=1e-5)
    assert logprobs.grad is not None
    assert float(logprobs.grad) == pytest.approx(gradient, rel=1e-5)


def test_ratios_of_whole_responses_by_hand() -> None:
    """Two responses; the first has log-ratios 0.2 and 0.4, and a token outside the mask."""
    old = torch.full((5,), -2.0)
    logprobs = (old + torch.tensor([0.2, 0.4, 7.0, -0.1, -0.3])).requires_grad_()
    mask = torch.tensor([True, True, False, True, True])
    sequences = torch.tensor([0, 0, 0, 1, 1])
    actual = policy_loss(
        logprobs, old, torch.ones(5), mask, 0.5, 0.5, kind="gspo", sequences=sequences
    )
    actual.total.backward()
    first, second = math.exp(0.3), math.exp(-0.2)
    assert float(actual.total.detach()) == pytest.approx(-2 * (first + second), rel=1e-5)
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([-first, -first, 0, -second, -second], rel=1e-5)
    assert int(actual.clipped) == 0
    clipped = policy_loss(
        logprobs, old, torch.ones(5), mask, 0.1, 0.2, kind="gspo", sequences=sequences
    )
    assert int(clipped.clipped) == 4, "all tokens of both responses"


def test_the_gradient_of_a_whole_response_is_that_of_gspo() -> None:
    """With one advantage for a response: s A mean(grad log p) (eq. 10), by automatic
    differentiation of s itself.
    """
    generator = torch.Generator().manual_seed(3)
    old = -torch.rand(6, generator=generator)
    logprobs = (old + 0.1 * torch.randn(6, generator=generator)).requires_grad_()
    mask, sequences = torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.long)
    advantages = torch.full((6,), 1.7)
    loss = policy_loss(
        logprobs, old, advantages, mask, 0.9, 9.0, kind="gspo", sequences=sequences
    ).total
    (loss / 6).backward()
    assert logprobs.grad is not None
    actual, logprobs.grad = logprobs.grad, None
    (-1.7 * (logprobs - old).mean().exp()).backward()
    torch.testing.assert_close(actual, logprobs.grad)


@pytest.mark.parametrize(
    ("ratio", "advantage", "gradient"),
    [
        (1.1, 2.0, -2.2),
        (1.5, 2.0, -2.6),  # the weight is clipped, the token is not dropped
        (0.5, 2.0, -1.6),
        (1.5, -2.0, 2.6),
    ],
)
def test_clipped_weights_by_hand(ratio: float, advantage: float, gradient: float) -> None:
    logprobs = torch.tensor([math.log(ratio) - 1], requires_grad=True)
    actual = policy_loss(
        logprobs, torch.tensor([-1.0]), torch.tensor([advantage]), KEEP, 0.2, 0.3, kind="cispo"
    )
    actual.total.backward()
    assert logprobs.grad is not None
    assert float(logprobs.grad) == pytest.approx(gradient, rel=1e-5)
    assert int(actual.clipped) == int(not 0.8 <= ratio <= 1.3)


def test_the_kl_to_the_old_policy_by_hand() -> None:
    """k3 of old against new, with ratio r: r - 1 - log r."""
    logprobs = torch.tensor([math.log(1.5), math.log(0.5), 3.0])
    mask = torch.tensor([True, True, False])
    actual = policy_loss(logprobs, torch.zeros(3), torch.ones(3), mask, 0.2, 0.2)
    expected = (0.5 - math.log(1.5)) + (-0.5 - math.log(0.5))
    assert float(actual.kl) == pytest.approx(expected, rel=1e-5)


def test_importance_weights_by_hand() -> None:
    logprobs = torch.tensor([-1.0, -1.0, -1.0, 0.0], requires_grad=True)
    rollout = torch.tensor([-1.0, -1.0 - math.log(1.5), -3.0, 500.0])
    weights = importance_weights(logprobs, rollout, cap=2.0)
    assert weights.tolist() == pytest.approx([1.0, 1.5, 2.0, math.exp(-20)])
    assert not weights.requires_grad
    advantages = torch.tensor([1.0, 3.0, 1.0, 1.0])
    mask = torch.ones(4, dtype=torch.bool)
    actual = policy_loss(logprobs, logprobs.detach(), advantages, mask, 0.2, 0.2, weights=weights)
    actual.total.backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx((-weights * advantages).tolist())


@pytest.mark.parametrize(
    ("estimator", "loss", "gradient"),
    [("k2", 0.125, 0.5), ("k3", math.exp(-0.5) - 0.5, 1 - math.exp(-0.5))],
)
def test_kl_loss_by_hand(estimator: str, loss: float, gradient: float) -> None:
    logprobs = torch.tensor([-1.0, float("nan")], requires_grad=True)
    mask = torch.tensor([True, False])
    actual = kl_loss(logprobs, torch.tensor([-1.5, 0.0]), mask, estimator, clip=10.0)
    actual.backward()
    assert float(actual.detach()) == pytest.approx(loss, rel=1e-5)
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([gradient, 0.0], rel=1e-5)


def test_kl_loss_is_bounded_and_refuses_k1() -> None:
    bounded = kl_loss(torch.tensor([0.0]), torch.tensor([-9.0]), KEEP, "k2", clip=10.0)
    assert float(bounded) == 10.0
    with pytest.raises(ValueError, match="k1 cannot be a loss"):
        kl_loss(torch.tensor([0.0]), torch.tensor([0.0]), KEEP, "k1", clip=10.0)


def test_tokens_outside_the_mask_are_not_in_the_loss() -> None:
    logprobs = torch.tensor([-1.0, float("nan"), -2.0, 500.0], requires_grad=True)
    old = torch.tensor([-1.0, 0.0, -2.0, float("inf")])
    mask = torch.tensor([True, False, True, False])
    advantages = torch.tensor([1.0, float("nan"), 3.0, 5.0])
    actual = policy_loss(logprobs, old, advantages, mask, 0.2, 0.2)
    actual.total.backward()
    assert float(actual.total.detach()) == -4.0
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [-1.0, 0.0, -3.0, 0.0]
    assert (int(actual.clipped), float(actual.max_deviation)) == (0, 0.0)


@pytest.mark.parametrize("tokens", [0, 3])
def test_an_empty_mask_gives_a_gradient_of_zero(tokens: int) -> None:
    logprobs = torch.full((tokens,), -1.0, requires_grad=True)
    other = torch.zeros(tokens)
    mask = torch.zeros(tokens, dtype=torch.bool)
    policy_loss(logprobs, other, other, mask, 0.2, 0.2).total.backward()
    assert logprobs.grad is not None
    assert not logprobs.grad.any()
    values = torch.full((tokens,), 2.0, requires_grad=True)
    value_loss(values, other, other, mask, 0.2).backward()
    assert values.grad is not None
    assert not values.grad.any()


def test_an_enormous_ratio_stays_finite() -> None:
    logprobs = torch.tensor([0.0], requires_grad=True)
    actual = policy_loss(logprobs, torch.tensor([-900.0]), torch.tensor([-1.0]), KEEP, 0.2, 0.2)
    assert float(actual.total.detach()) == pytest.approx(math.exp(20), rel=1e-5)


@pytest.mark.parametrize(
    ("value", "clip", "loss", "gradient"),
    [
        (1.5, None, 0.125, -0.5),
        (1.5, 0.2, 0.32, 0.0),  # old 1, so the value counts as 1.2, further from 2 than 1.5
        (1.1, 0.2, 0.405, -0.9),
        (0.5, 0.2, 1.125, -1.5),  # moving away is never excused
    ],
)
def test_value_loss_by_hand(value: float, clip: float | None, loss: float, gradient: float) -> None:
    values = torch.tensor([value], requires_grad=True)
    actual = value_loss(values, torch.tensor([1.0]), torch.tensor([2.0]), KEEP, clip)
    actual.backward()
    assert float(actual.detach()) == pytest.approx(loss, rel=1e-5)
    assert values.grad is not None
    assert float(values.grad) == pytest.approx(gradient, rel=1e-5)


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 12))
def test_losses_of_parts_sum_to_the_loss_of_the_whole(seed: int, cut: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    new, old, advantages, returns = torch.randn(4, 12, generator=generator)
    mask = torch.rand(12, generator=generator) < 0.6

    def policy(part: slice) -> float:
        return float(
            policy_loss(new[part], old[part], advantages[part], mask[part], 0.1, 0.2).total
        )

    def value(part: slice) -> float:
        return float(value_loss(new[part], old[part], returns[part], mask[part], 0.3))

    left, right, whole = slice(0, cut), slice(cut, 12), slice(0, 12)
    for loss in (policy, value):
        assert loss(left) + loss(right) == pytest.approx(loss(whole), rel=1e-4, abs=1e-4)
