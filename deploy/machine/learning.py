"""Parts of the learner: exactness in bfloat16, attention over packed rows, speed."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise

import torch
from transformers import AutoConfig

from deploy.machine.part import Figure, Scale, at_most
from deploy.machine.random_model import random_groups, random_model
from deploy.plan.gpus import peak_flops
from learner.agreement import logprob_difference
from learner.config import LearnerConfig, OptimizerConfig, ZeroConfig
from learner.models.batch import token_batch
from learner.models.packing import by_kernel, by_sequence
from learner.plan.shares import whole_batch
from learner.ppo import PPOLearner

_GRADIENT = 0.1
"""Relative difference of the gradient's norm in bfloat16 from float32."""
_LOSS = 0.02
"""Absolute difference of the policy loss, whose advantages are of the order of 1."""


def _learner(
    scale: Scale, dtype: str, token_budget: int, checkpointing: bool, compiled: bool = False
) -> PPOLearner:
    settings = LearnerConfig.model_validate(
        {
            "advantage": "rloo", "kl_coefficient": 0.0, "dtype": dtype, "minibatch_size": 64,
            "token_budget": token_budget, "logprob_diff_alarm": "off",
            "gradient_checkpointing": checkpointing, "compile": compiled,
            "logprob_chunk": 4096 if scale.gpus else 1024,
            "zero": ZeroConfig(stage=2), "policy": OptimizerConfig(lr=1e-6),
        }
    )  # fmt: skip
    return PPOLearner(settings, random_model(scale), 1.0, scale.folder / "faults")


_UPDATES = 3
"""Measured updates; the median counts."""


@dataclass(frozen=True)
class _Outcome:
    logprobs: list[float]
    metrics: dict[str, float]


def exactness(scale: Scale) -> list[Figure]:
    """One update in bfloat16 against float32: log-probabilities, mask, loss, gradient."""
    length = 512 if scale.gpus and not scale.quick else 48
    groups = random_groups(2, 4, length)
    sequences = [list(t.token_ids) for group in groups for t in group.trajectories]

    def outcome(dtype: str) -> _Outcome:
        learner = _learner(scale, dtype, 4 * length, checkpointing=bool(scale.gpus))
        logprobs = [value for row in learner.token_logprobs(sequences) for value in row]
        return _Outcome(logprobs, learner.update(groups))

    exact, rounded = outcome("float32"), outcome("bfloat16")
    pairs = zip(exact.logprobs, rounded.logprobs, strict=True)
    difference = logprob_difference([abs(a - b) for a, b in pairs])
    why = "the kernels of this device differ from float32: set learner.dtype float32 and report it"
    norms = [o.metrics["policy_grad_norm"] for o in (exact, rounded)]
    losses = [o.metrics["policy_loss"] for o in (exact, rounded)]
    masked = [name for name in exact.metrics if "mask" in name]
    unequal = [name for name in masked if exact.metrics[name] != rounded.metrics[name]]
    violation = difference.violation(exact=False, limit=None)
    return [
        Figure("log-prob difference, mean", difference.mean, "nats"),
        Figure(
            "log-prob difference, 99th percentile", difference.p99, "nats", "<= 0.5",
            not violation, why,
        ),
        Figure("log-prob difference, maximum", difference.largest, "nats"),
        Figure("figures of the mask that differ", len(unequal), "", "0", not unequal, why),
        at_most("policy loss, difference", abs(losses[0] - losses[1]), _LOSS, "", why),
        at_most(
            "gradient norm, relative difference", abs(norms[1] / norms[0] - 1), _GRADIENT, "", why
        ),
    ]  # fmt: skip


def attention(scale: Scale) -> list[Figure]:
    """Attention over packed sequences, three of which share a prompt, against whole scores, with
    its gradient."""
    lengths, prompt = ([100, 1000, 370, 512, 399], 300) if scale.gpus else ([10, 40, 9, 13, 7], 5)
    device = torch.device("cuda" if scale.gpus else "cpu")
    torch.manual_seed(0)
    firsts = [1, 1, prompt, prompt, prompt]
    batch = token_batch([range(n) for n in lengths], firsts, device, [0, 1, 2, 2, 2])
    tokens, keys = batch.input_ids.shape[1], batch.keys
    assert keys is not None
    parts = [torch.randn(1, heads, tokens, 64, device=device) for heads in (14, 2, 2)]
    bounds = (batch.bounds, batch.key_bounds)

    def attended(dtype: torch.dtype, fused: bool) -> tuple[torch.Tensor, torch.Tensor]:
        query, key, value = (part.detach().to(dtype).requires_grad_() for part in parts)
        seen = (key.index_select(2, keys), value.index_select(2, keys))
        if fused:
            longest = (batch.longest, batch.longest_keys)
            output = by_kernel(query, *seen, *bounds, *longest, None, None)
        else:
            output = by_sequence(query, *seen, *bounds, None, None)
        output.float().square().mean().backward()
        gradient = key.grad
        assert gradient is not None
        return output.float().detach(), gradient.float()

    def plain() -> tuple[torch.Tensor, torch.Tensor]:
        """Whole scores with the boundaries and the causal order as a mask."""
        query, key, value = (part.double() for part in parts)
        key.requires_grad_()
        allowed = torch.zeros(tokens, tokens, dtype=torch.bool, device=device)
        edges = zip(pairwise(bounds[0].tolist()), pairwise(bounds[1].tolist()), strict=True)
        for (begin, end), (first, last) in edges:
            own = torch.ones(end - begin, last - first, dtype=torch.bool, device=device)
            allowed[begin:end, keys[first:last]] = own.tril(last - first - (end - begin))
        repeated, values = (part.repeat_interleave(7, 1) for part in (key, value))
        scores = (query @ repeated.mT / 8).masked_fill(~allowed, -torch.inf)
        output = (scores.softmax(-1) @ values).transpose(1, 2)
        output.square().mean().backward()
        assert key.grad is not None
        return output.float().detach(), key.grad.float()

    expected, expected_gradient = plain()
    why = "torch's variable-length attention is wrong on this device: set learner.dtype float32"
    figures = []
    kinds = [("float32", torch.float32, False, 1e-4)]
    if scale.gpus:
        kinds.append(("bfloat16, fused", torch.bfloat16, True, 0.03))
    for name, dtype, fused, limit in kinds:
        output, gradient = attended(dtype, fused)
        error = float((output - expected).abs().max())
        figures.append(at_most(f"{name}: largest error", error, limit, "", why))
        scale_of = float(expected_gradient.abs().max())
        error = float((gradient - expected_gradient).abs().max()) / scale_of
        figures.append(at_most(f"{name}: gradient, relative error", error, limit, "", why))
    return figures


def update_flops(
    blocks: int, head: int, tokens: int, targets: int, layers: int, hidden: int, length: int
) -> float:
    """Operations of forward and backward pass (Chowdhery et al., 2022, appendix B).

    6 for each weight that multiplies a token, and causal attention over half of `length` on
    average. The output layer multiplies targets alone: prompts have no logits. Recomputation
    (gradient checkpointing, logits in the backward pass) is not counted: it is no work that the
    model needs.

    Args:
        blocks: weights that multiply each token.
        head: weights of the output layer.
        tokens: of prompts, each once, and responses.
        targets: tokens of the responses.
        layers: blocks of the model.
        hidden: width of all heads of a layer together.
        length: tokens of a sequence.
    """
    return 6 * (blocks * tokens + head * targets) + 6 * layers * hidden * length * tokens


def speed(scale: Scale) -> list[Figure]:
    """Tokens a second of an update, its share of the device's peak, and its peak memory; on a GPU
    also of a compiled learner.
    """
    figures = _speed(scale, compiled=False)
    if scale.gpus:
        torch.cuda.empty_cache()
        figures += _speed(scale, compiled=True)
    return figures


def _speed(scale: Scale, compiled: bool) -> list[Figure]:
    large = scale.gpus and not scale.quick
    length, prompts, samples = (1024, 16, 4) if large else (64, 2, 4)
    groups = random_groups(prompts, samples, length)
    learner = _learner(scale, "auto", 16 * length, checkpointing=False, compiled=compiled)
    learner.update(groups)  # warms up
    if scale.gpus:
        torch.cuda.reset_peak_memory_stats()
    updates = []
    for _ in range(_UPDATES):
        started = time.perf_counter()
        metrics = learner.update(groups)
        updates.append((metrics["seconds_train"], time.perf_counter() - started))
    steps_s, update_s = (statistics.median(part) for part in zip(*updates, strict=True))
    trajectories = [t for group in groups for t in group.trajectories]
    tokens = sum(len(t.token_ids) for t in trajectories)
    name = "compiled: " if compiled else ""
    figures = [
        Figure(f"{name}update", round(tokens / update_s), "tokens/s"),
        Figure(f"{name}optimizer steps alone", round(tokens / steps_s), "tokens/s"),
    ]
    if scale.gpus:
        shapes = learner.weight_shapes()
        parameters = sum(torch.Size(shape).numel() for _, _, shape in shapes)
        config = AutoConfig.from_pretrained(random_model(scale))
        hidden = config.hidden_size
        head = config.vocab_size * hidden
        blocks = parameters - (head if config.tie_word_embeddings else 2 * head)
        targets = sum(len(t.response_ids) for t in trajectories)
        sizes = whole_batch(groups).sizes
        computed = sizes.tokens(range(len(sizes)))
        layers = config.num_hidden_layers
        work = update_flops(blocks, head, computed, targets, layers, hidden, length)
        figures += _utilisation(name, work / steps_s)
        peak = torch.cuda.max_memory_allocated() / 2**30
        figures.append(Figure(f"{name}peak memory", round(peak, 2), "GiB"))
    return figures


def _utilisation(name: str, flops: float) -> list[Figure]:
    """The operations a second of the optimizer steps, and their share of the device's peak."""
    device = torch.cuda.get_device_name()
    figures = [Figure(f"{name}model FLOP/s", f"{flops:.3g}")]
    peak = peak_flops(device)
    if peak is not None:
        figures.append(Figure(f"{name}MFU: share of {peak:.3g} FLOP/s", round(flops / peak, 3)))
    return figures
