"""Sequences in one row have the outputs and gradients that each has alone."""

import copy
import inspect
import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    GptOssConfig,
    GraniteConfig,
    GraniteForCausalLM,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    RecurrentGemmaConfig,
)

from learner.errors import ModelError
from learner.models import packing
from learner.models.batch import TokenBatch, token_batch
from learner.models.networks import CriticModel, PolicyModel
from learner.models.pretrained import checkpoint_gradients

CPU = torch.device("cpu")
WINDOW = 5
SHAPE: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SHAPE),
    "grouped heads, tied embeddings": lambda: Qwen2Config(
        **SHAPE, num_key_value_heads=2, tie_word_embeddings=True
    ),
    "learned positions": lambda: GPT2Config(
        vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=64
    ),
    "window": lambda: MistralConfig(**SHAPE, num_key_value_heads=1, sliding_window=WINDOW),
    "window in one layer, given only in its mask": lambda: Qwen2MoeConfig(
        **SHAPE,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=WINDOW,
        max_window_layers=2,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=16,
    ),
}
Plain = Any
"""A causal language model of transformers, unchanged."""


def plain_model(config: PreTrainedConfig) -> Plain:
    """Random weights, large enough that attention changes the outputs."""
    torch.manual_seed(0)
    model: Plain = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    return model


@cache
def models(kind: str) -> tuple[Plain, PolicyModel, CriticModel]:
    """The plain model, and policy and critic with its weights."""
    plain = plain_model(CONFIGS[kind]())
    critic = CriticModel(copy.deepcopy(plain).base_model)
    torch.nn.init.normal_(critic.value_head.weight)
    return plain, PolicyModel(copy.deepcopy(plain)), critic


def random_sequences(seed: int, lengths: Sequence[int]) -> list[list[int]]:
    generator = random.Random(seed)
    return [[generator.randrange(2, 64) for _ in range(length)] for length in lengths]


def alone(model: Plain, sequence: Sequence[int], first: int) -> Tensor:
    """Log-probabilities of the tokens from `first` on, by whole logits and one sequence."""
    ids = torch.tensor([sequence])
    logprobs = model(ids).logits[0, :-1].log_softmax(-1)
    return logprobs.gather(-1, ids[0, 1:, None])[first - 1 :, 0]


def gradients(model: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    named = model.named_parameters()
    return {
        name.removeprefix("model."): torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in named
    }


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(
            actual[name], gradient, rtol=0, atol=tolerance * max(1, scale), msg=name
        )


lengths_and_firsts = st.lists(
    st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("kind", CONFIGS)
@settings(max_examples=settings().max_examples // 4)  # each example runs two models
@given(shape=lengths_and_firsts, seed=st.integers(0, 99))
def test_outputs_of_a_packed_row_equal_those_of_single_sequences(
    kind: str, shape: list[tuple[int, int]], seed: int
) -> None:
    plain, policy, critic = models(kind)
    lengths, firsts = zip(*shape, strict=True)
    sequences = random_sequences(seed, lengths)
    batch = token_batch(sequences, firsts, CPU)
    actual, _ = policy(batch, 1.0, 7)
    expected = torch.cat([alone(plain, s, f) for s, f in zip(sequences, firsts, strict=True)])
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    values = [critic(token_batch([s], [f], CPU)) for s, f in zip(sequences, firsts, strict=True)]
    torch.testing.assert_close(critic(batch), torch.cat(values), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", CONFIGS)
def test_sequences_that_share_a_prompt_have_the_outputs_and_gradient_of_each_alone(
    kind: str, checkpointing: bool
) -> None:
    plain, policy, critic = models(kind)
    if checkpointing:
        policy = copy.deepcopy(policy)
        checkpoint_gradients(policy.model.base_model)
    sequences, firsts, groups = shared_prompts(4)
    batch = token_batch(sequences, firsts, CPU, groups)
    assert batch.input_ids.shape[1] < sum(map(len, sequences))
    one_by_one = torch.cat([alone(plain, s, f) for s, f in zip(sequences, firsts, strict=True)])
    actual, _ = policy(batch, 1.0, 5)
    torch.testing.assert_close(actual, one_by_one, atol=1e-5, rtol=1e-5)
    values = [critic(token_batch([s], [f], CPU)) for s, f in zip(sequences, firsts, strict=True)]
    torch.testing.assert_close(critic(batch), torch.cat(values), atol=1e-5, rtol=1e-5)
    weights = torch.randn(len(batch.targets), generator=torch.Generator().manual_seed(1))
    expected = gradients(plain, (one_by_one * weights).sum())
    found = gradients(policy, (actual * weights).sum())
    assert_close(
        {name.removeprefix("model."): gradient for name, gradient in found.items()},
        {name.removeprefix("model."): gradient for name, gradient in expected.items()},
        1e-5,
    )


def shared_prompts(seed: int) -> tuple[list[list[int]], list[int], list[int]]:
    """Sequences, first targets and groups: four responses to a prompt longer than the window, one
    of them empty; two to another; two much longer than their prompt; one alone."""
    sequences, firsts, groups = [], [], []
    lengths = [(7, (5, 1, 0, 8)), (3, (4, 6)), (2, (9, 14)), (2, (9,))]
    for number, (prompt, responses) in enumerate(lengths):
        (head,) = random_sequences(seed + number, [prompt])
        for response in random_sequences(seed + 10 + number, responses):
            sequences.append(head + response)
            firsts.append(prompt)
            groups.append(number)
    return sequences, firsts, groups


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("target", range(9))
def test_a_broken_gradient_is_told_of_the_sequence_that_has_it(target: int, trained: bool) -> None:
    """Of the first of a group, of others, of one that is a single token; also where embeddings are
    not trained, as with adapters."""
    policy = copy.deepcopy(models("llama")[1])
    policy.model.get_input_embeddings().requires_grad_(trained)
    batch = token_batch(*shared_prompts(4)[:2], CPU, shared_prompts(4)[2])
    logprobs = list(policy(batch, 1.0, 50)[0].split(batch.counts))
    logprobs[target] = logprobs[target] * float("inf")
    torch.cat(logprobs).sum().backward()
    expected = [at == target and count > 0 for at, count in enumerate(batch.counts)]
    assert batch.sequences_with(policy.watch.broken) == expected


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", CONFIGS)
def test_the_gradient_of_a_packed_row_is_the_sum_over_its_sequences(
    kind: str, checkpointing: bool
) -> None:
    plain, policy, _ = models(kind)
    if checkpointing:
        policy = copy.deepcopy(policy)
        checkpoint_gradients(policy.model.base_model)
    sequences, firsts = random_sequences(3, (7, 1, 12, 5)), (2, 1, 4, 1)
    batch = token_batch(sequences, firsts, CPU)
    weights = torch.randn(len(batch.targets), generator=torch.Generator().manual_seed(1))
    one_by_one = [alone(plain, s, f) for s, f in zip(sequences, firsts, strict=True)]
    expected = gradients(plain, (torch.cat(one_by_one) * weights).sum())
    actual = gradients(policy, (policy(batch, 1.0, 5)[0] * weights).sum())
    expected = {name.removeprefix("model."): gradient for name, gradient in expected.items()}
    actual = {name.removeprefix("model."): gradient for name, gradient in actual.items()}
    assert actual.keys() == expected.keys()
    assert_close(actual, expected, 1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_sequence_changes_no_bit_of_its_neighbours(kind: str, changed: int) -> None:
    """Forward and backward: another sequence of the same length in its place."""
    _, policy, critic = models(kind)
    lengths, firsts = (6, 11, 8), (2, 3, 1)
    before, other = random_sequences(0, lengths), random_sequences(1, lengths)
    after = [other[n] if n == changed else before[n] for n in range(3)]
    for model in (policy, critic):
        outputs, input_gradients = zip(
            *(outcome(model, token_batch(s, firsts, CPU)) for s in (before, after)), strict=True
        )
        for parts in (zip(*outputs, strict=True), zip(*input_gradients, strict=True)):
            assert [torch.equal(old, new) for old, new in parts] == [n != changed for n in range(3)]


def outcome(
    model: PolicyModel | CriticModel, batch: TokenBatch
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A model's outputs, and the gradient of their sum at its embeddings, by sequence."""
    input_gradients: list[Tensor] = []

    def embedded(_module: Any, _inputs: Any, embeddings: Tensor) -> None:
        embeddings.register_hook(input_gradients.append)

    backbone = model.backbone if isinstance(model, CriticModel) else model.model.base_model
    handle = backbone.get_input_embeddings().register_forward_hook(embedded)
    output = model(batch) if isinstance(model, CriticModel) else model(batch, 1.0, 50)[0]
    handle.remove()
    output.sum().backward()
    lengths = batch.bounds.diff().tolist()
    return output.detach().split(batch.counts), input_gradients[0][0].split(lengths)


class Largest(TorchDispatchMode):
    """Records the size of the largest tensor."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        parts = out if isinstance(out, (tuple, list)) else [out]
        sizes = [part.numel() for part in parts if isinstance(part, Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return out


def test_no_tensor_grows_with_the_square_of_the_row() -> None:
    _, policy, _ = models("llama")
    batch = token_batch(random_sequences(0, [8] * 100), [1] * 100, CPU)
    with Largest() as largest:
        policy(batch, 1.0, 64)[0].sum().backward()
    assert 800 * 48 <= largest.elements <= 800 * 64


def test_no_tensor_grows_with_the_square_of_a_response_that_shares_its_prompt() -> None:
    _, policy, _ = models("llama")
    ((head,), responses) = random_sequences(0, [8]), random_sequences(1, [300] * 2)
    batch = token_batch([head + response for response in responses], [8] * 2, CPU, [0, 0])
    with Largest() as largest:
        policy(batch, 1.0, 64)[0].sum().backward()
    assert 608 * 48 <= largest.elements <= 608 * 64


def test_an_empty_batch_has_a_gradient_of_zero() -> None:
    _, policy, critic = models("llama")
    batch = token_batch([], [], CPU)
    actual, entropies = policy(batch, 1.0, 8, entropy=True)
    assert actual.shape == critic(batch).shape == (0,)
    assert entropies is not None
    assert entropies.shape == (0,)
    for model, output in ((policy, actual), (critic, critic(batch))):
        gradient = gradients(model, output.sum())
        assert all(not part.any() for part in gradient.values())


class Precisions:
    """Records the precisions that PyTorch's attention gets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: set[torch.dtype] = set()
        attend: Any = torch.nn.functional.scaled_dot_product_attention

        def recorded(*parts: Tensor, **options: Any) -> Tensor:
            self.seen |= {part.dtype for part in parts}
            return attend(*parts, **options)

        monkeypatch.setattr(packing.functional, "scaled_dot_product_attention", recorded)


def test_attention_under_mixed_precision_is_float32_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    precisions = Precisions(monkeypatch)
    plain = models("grouped heads, tied embeddings")[0]
    mixed = PolicyModel(copy.deepcopy(plain), mixed_precision=True)
    sequences, firsts = random_sequences(5, (9, 4, 11)), (3, 1, 2)
    batch = token_batch(sequences, firsts, CPU)
    with torch.no_grad():
        scored, _ = mixed(batch, 1.0, 50)
    actual, _ = mixed(batch, 1.0, 50)
    assert torch.equal(scored, actual), "scoring and learning give the same bits"
    assert precisions.seen == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        in_bfloat16 = [alone(plain, s, f) for s, f in zip(sequences, firsts, strict=True)]
    exact = torch.cat([alone(plain, s, f) for s, f in zip(sequences, firsts, strict=True)])
    error, usual = (actual - exact).abs().mean(), (torch.cat(in_bfloat16) - exact).abs().mean()
    assert 0 < error < 2 * usual
    assert all(part.isfinite().all() for part in gradients(mixed, actual.sum()).values())


def test_attention_with_16_bit_weights_is_16_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    precisions = Precisions(monkeypatch)
    policy = PolicyModel(copy.deepcopy(models("llama")[0]).bfloat16())
    policy(token_batch(random_sequences(5, (9, 4)), (3, 1), CPU), 1.0, 50)
    assert precisions.seen == {torch.bfloat16}


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("key_value_heads", [1, 2, 4])
def test_the_gpu_kernel_gets_equivalent_arguments(
    key_value_heads: int, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no such kernel for a CPU: what it is given is bound to its own signature and
    computed here by its documentation.
    """
    signature = inspect.signature(packing.varlen_attn)

    def documented(*args: Any, **options: Any) -> Tensor:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        a = bound.arguments
        for name in ("q", "k"):
            assert a[f"cu_seq_{name}"].dtype == torch.int32
            assert a[f"max_{name}"] == int(a[f"cu_seq_{name}"].diff().max())
        left, right = a["window_size"]
        assert right == 0, "causal"
        share = a["query"].shape[1] // a["key"].shape[1]
        assert a["enable_gqa"] == (share > 1)
        out = torch.empty_like(a["query"])
        spans = (pairwise(a[f"cu_seq_{name}"].tolist()) for name in ("q", "k"))
        for (start, end), (first, last) in zip(*spans, strict=True):
            for head in range(out.shape[1]):
                q = a["query"][start:end, head]
                k, v = (a[name][first:last, head // share] for name in ("key", "value"))
                scores = q @ k.T * a["scale"]
                places = torch.arange(len(k))
                back = places[len(k) - len(q) :, None] - places
                scores[(back < 0) | ((left >= 0) & (back > left))] = float("-inf")
                out[start:end, head] = scores.softmax(-1) @ v
        return out

    monkeypatch.setattr(packing, "varlen_attn", documented)
    generator = torch.Generator().manual_seed(0)
    heads = (4, key_value_heads, key_value_heads)
    query, key, value = (
        torch.randn(1, tokens, n, 8, generator=generator).transpose(1, 2)
        for n, tokens in zip(heads, (14, 18, 18), strict=True)
    )
    bounds = torch.tensor([0, 5, 6, 14], dtype=torch.int32)
    key_bounds = torch.tensor([0, 5, 10, 18], dtype=torch.int32)
    actual = packing.by_kernel(query, key, value, bounds, key_bounds, 8, 8, 0.3, window)
    expected = packing.by_sequence(query, key, value, bounds, key_bounds, 0.3, window)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            RecurrentGemmaConfig(**SHAPE, block_types=["recurrent", "attention"]),
            "RecurrentGemmaModel cannot",
        ),
        (BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=2), "BloomModel cannot"),
        (
            Lfm2Config(**SHAPE, num_key_value_heads=2, layer_types=["conv", "full_attention"]),
            "Lfm2Model cannot learn from packed sequences: it has layers of conv that",
        ),
    ],
    ids=["recurrent", "no attention interface", "convolutions"],
)
def test_a_model_that_mixes_sequences_is_refused(config: PreTrainedConfig, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        PolicyModel(plain_model(config))


def test_unsupported_attention_is_refused() -> None:
    config = GptOssConfig(
        **SHAPE, num_key_value_heads=2, head_dim=8, num_local_experts=2, sliding_window=WINDOW
    )
    policy = PolicyModel(plain_model(config))
    with pytest.raises(ModelError, match=r"GptOssAttention cannot .* it needs s_aux"):
        policy(token_batch([[3, 4]], [1], CPU), 1.0, 8)


def test_a_model_that_rescales_its_logits_is_refused() -> None:
    config = GraniteConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, logits_scaling=8.0,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"granite with logits_scaling 8\.0 is not supported"):
        PolicyModel(GraniteForCausalLM(config))
    config.logits_scaling = 1.0
    PolicyModel(GraniteForCausalLM(config))
