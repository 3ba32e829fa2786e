"""Chunked log-probabilities equal full ones, forward and backward."""

from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import learner.models.logprobs
from learner.errors import ModelError
from learner.models.logprobs import LogProbHead, token_logprobs


def inputs(seed: int, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 8, generator=generator).requires_grad_()
    weight = torch.randn(30, 8, generator=generator).requires_grad_()
    return hidden, weight, torch.randint(0, 30, (tokens,), generator=generator)


def full(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float) -> Tensor:
    logprobs = (hidden @ weight.T / temperature).log_softmax(-1)
    return logprobs.gather(-1, targets[:, None])[:, 0]


@given(
    seed=st.integers(0, 10_000),
    tokens=st.integers(0, 20),
    chunk=st.integers(1, 25),
    temperature=st.sampled_from([0.5, 1.0, 1.3]),
)
def test_forward_and_backward_equal_the_full_matrix(
    seed: int, tokens: int, chunk: int, temperature: float
) -> None:
    hidden, weight, targets = inputs(seed, tokens)
    upstream = torch.randn(tokens, generator=torch.Generator().manual_seed(seed + 1))
    expected = full(hidden, weight, targets, temperature)
    gradients = torch.autograd.grad(expected @ upstream, (hidden, weight))
    actual, none = token_logprobs(hidden, weight, targets, temperature, chunk)
    assert none is None
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(
        torch.autograd.grad(actual @ upstream, (hidden, weight)), gradients, strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@given(seed=st.integers(0, 10_000), chunk=st.integers(1, 12))
def test_entropies_equal_the_full_matrix(seed: int, chunk: int) -> None:
    """Values, and gradients of any mixture of both outputs."""
    hidden, weight, targets = inputs(seed, 10)
    generator = torch.Generator().manual_seed(seed + 1)
    of_logprobs, of_entropies = torch.randn(2, 10, generator=generator)
    distribution = torch.distributions.Categorical(logits=hidden @ weight.T / 0.7)
    logprobs, entropies = token_logprobs(hidden, weight, targets, 0.7, chunk, entropy=True)
    assert entropies is not None
    alone, _ = token_logprobs(hidden, weight, targets, 0.7, chunk)
    assert torch.equal(logprobs, alone), "the ratio is exactly 1 with or without entropies"
    torch.testing.assert_close(entropies, distribution.entropy(), atol=1e-4, rtol=1e-4)
    for with_logprobs in (0.0, 1.0):
        expected = full(hidden, weight, targets, 0.7) @ of_logprobs * with_logprobs
        expected = expected + distribution.entropy() @ of_entropies
        actual = entropies @ of_entropies
        if with_logprobs:
            actual = actual + logprobs @ of_logprobs
        for mine, theirs in zip(
            torch.autograd.grad(actual, (hidden, weight), retain_graph=True),
            torch.autograd.grad(expected, (hidden, weight), retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frozen", ["hidden", "weight"])
def test_only_inputs_that_require_a_gradient_get_one(frozen: str) -> None:
    hidden, weight, targets = inputs(0, 5)
    (hidden if frozen == "hidden" else weight).requires_grad_(False)
    token_logprobs(hidden, weight, targets, 1.0, 2)[0].sum().backward()
    assert (hidden.grad is None) == (frozen == "hidden")
    assert (weight.grad is None) == (frozen == "weight")


def test_no_more_logits_than_a_chunk_exist_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    logits = learner.models.logprobs._logits

    def recorded(hidden: Tensor, *rest) -> Tensor:
        rows.append(len(hidden))
        return logits(hidden, *rest)

    monkeypatch.setattr(learner.models.logprobs, "_logits", recorded)
    hidden, weight, targets = inputs(0, 20)
    logprobs, entropies = token_logprobs(hidden, weight, targets, 1.0, 6, entropy=True)
    assert entropies is not None
    (logprobs + entropies).sum().backward()
    assert max(rows) == 6
    assert sum(rows) == 2 * 20, "forward and recomputation, for both together"


@pytest.mark.parametrize("entropy", [False, True])
def test_the_logits_of_a_single_chunk_are_computed_once(
    entropy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits as with recomputation, which a second backward pass falls back to."""
    calls = []
    logits = learner.models.logprobs._logits

    def recorded(*arguments) -> Tensor:
        calls.append(1)
        return logits(*arguments)

    monkeypatch.setattr(learner.models.logprobs, "_logits", recorded)
    hidden, weight, targets = inputs(0, 20)
    outputs = token_logprobs(hidden, weight, targets, 1.3, 20, entropy)
    loss = sum(output.square().sum() for output in outputs if output is not None)
    assert isinstance(loss, Tensor)
    first = torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    assert len(calls) == 1
    second = torch.autograd.grad(loss, (hidden, weight))
    assert len(calls) == 2
    assert all(map(torch.equal, first, second))


def test_logits_of_bfloat16_weights_are_float32() -> None:
    """Rounded to bfloat16, logits near 20 would be 0.125 apart."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(30, 64, generator=generator).bfloat16().requires_grad_()
    weight = (2 * torch.randn(50, 64, generator=generator)).bfloat16()
    targets = torch.randint(50, (30,), generator=generator)
    actual, _ = token_logprobs(hidden, weight, targets, chunk=7)
    exact = (hidden.detach().double() @ weight.double().T).log_softmax(-1)
    expected = exact.gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(actual.double(), expected, atol=1e-4, rtol=1e-5)
    rounded = (
        (hidden.detach() @ weight.T).double().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    )
    assert float((rounded - expected).abs().max()) > 0.02, "the test would notice rounding"
    actual.sum().backward()
    setting = cast(Any, torch.backends.mkldnn).matmul
    assert setting.fp32_precision != "bf16", "the setting is restored"


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets = inputs(0, 5)
    actual, _ = token_logprobs(hidden * 1e4, weight, targets)
    assert torch.isfinite(actual).all()


def test_autocast_changes_nothing() -> None:
    hidden, weight, targets = inputs(0, 5)
    with torch.autocast("cpu", torch.bfloat16):
        inside, _ = token_logprobs(hidden, weight, targets)
    assert torch.equal(inside, token_logprobs(hidden, weight, targets)[0])


def test_the_head_shares_the_weight_it_replaces() -> None:
    layer = nn.Linear(8, 30, bias=False)
    head = LogProbHead.replacing(layer)
    assert head.weight is layer.weight
    assert list(dict(head.named_parameters())) == ["weight"]
    hidden, _, targets = inputs(0, 5)
    logprobs, entropies = head(hidden, targets, 1.0, 4)
    assert entropies is None
    torch.testing.assert_close(logprobs, full(hidden, layer.weight, targets, 1.0))


def test_a_head_with_a_bias_is_refused() -> None:
    with pytest.raises(ModelError, match="bias"):
        LogProbHead.replacing(nn.Linear(8, 30))
