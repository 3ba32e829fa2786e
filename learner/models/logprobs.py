"""Log-probabilities and entropies without the [tokens, vocabulary] matrix of logits.

Logits exist for one chunk of tokens at a time; the backward pass computes them again, chunk by
chunk. Those of a single chunk are kept for it, which takes no more memory at the peak: it begins
with them.
"""

from typing import Any

import torch
from torch import Tensor, nn

from learner.errors import ModelError
from learner.models.compiling import fused
from learner.models.products import products


class _ChunkedLogProbs(torch.autograd.Function):
    """log_softmax(hidden @ weight.T / temperature)[target] and, with `entropy`, each row's entropy.

    The backward pass recomputes the logits of several chunks.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        temperature: float,
        chunk: int,
        entropy: bool,
        compiled: bool,
    ) -> tuple[Tensor, Tensor | None]:
        of_chunk = fused(_of_chunk) if compiled else _of_chunk
        logprobs = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        normalisers = torch.empty_like(logprobs)
        entropies = torch.empty_like(logprobs) if entropy else None
        single = len(targets) <= chunk and any(ctx.needs_input_grad)
        ctx.distributions = None
        for rows in _chunks(len(targets), chunk):
            logprobs[rows], normalisers[rows], of_rows, distributions = of_chunk(
                hidden[rows], weight, targets[rows], temperature, entropy, single
            )
            if entropies is not None and of_rows is not None:
                entropies[rows] = of_rows
            if single:
                ctx.distributions = distributions
        ctx.save_for_backward(hidden, weight, targets, normalisers, entropies)
        ctx.temperature, ctx.chunk, ctx.compiled = temperature, chunk, compiled
        ctx.set_materialize_grads(False)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        of_logprobs, of_entropies = gradients
        hidden, weight, targets, normalisers, entropies = ctx.saved_tensors
        of_logits = fused(_logits_gradient) if ctx.compiled else _logits_gradient
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        weight_gradient = (
            torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        )
        # Used up: a second backward pass through the same graph computes them again.
        distributions, ctx.distributions = ctx.distributions, None
        for rows in _chunks(len(targets), ctx.chunk):
            logits_gradient = of_logits(
                hidden[rows],
                weight,
                targets[rows],
                ctx.temperature,
                normalisers[rows],
                None if of_logprobs is None else of_logprobs[rows],
                None if of_entropies is None else (entropies[rows], of_entropies[rows]),
                distributions,
            )
            distributions = None
            if hidden_gradient is not None:
                hidden_gradient[rows] = (logits_gradient @ weight).to(hidden.dtype)
            if weight_gradient is not None:
                weight_gradient += logits_gradient.T @ hidden[rows].to(weight.dtype)
        if weight_gradient is not None:
            weight_gradient = weight_gradient.to(weight.dtype)
        return hidden_gradient, weight_gradient, None, None, None, None, None


def _of_chunk(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, entropy: bool, keep: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Of one chunk the log-probabilities and normalisers [tokens], with `entropy` the entropies
    [tokens], and with `keep` all log-probabilities [tokens, vocabulary]."""
    logits = _logits(hidden, weight, temperature)
    normalisers = logits.logsumexp(-1)
    logprobs = logits.gather(-1, targets[:, None])[:, 0] - normalisers
    distributions = logits.sub_(normalisers[:, None]) if entropy or keep else logits
    entropies = _entropies(distributions) if entropy else None
    return logprobs, normalisers, entropies, distributions if keep else None


def _logits_gradient(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    temperature: float,
    normalisers: Tensor,
    of_logprobs: Tensor | None,
    of_entropies: tuple[Tensor, Tensor] | None,
    distributions: Tensor | None,
) -> Tensor:
    """Gradient of one chunk's product hidden @ weight.T, in the weight's precision.

    `of_entropies` has the entropies and their gradient. `distributions` are the log-probabilities
    [tokens, vocabulary] if they were kept; they are overwritten.
    """
    logprobs = distributions
    if logprobs is None:
        logprobs = _logits(hidden, weight, temperature).sub_(normalisers[:, None])
    # d entropy / d logit = -p (log p + entropy); d logprob / d logit = [target] - p
    factor = None
    if of_entropies is not None:
        entropies, gradient = of_entropies
        factor = logprobs + entropies[:, None]
        factor.mul_(-gradient[:, None] / temperature)
    probabilities = logprobs.exp_()
    if of_logprobs is None:
        return probabilities.mul_(0.0 if factor is None else factor).to(weight.dtype)
    scale = of_logprobs / temperature
    factor = -scale[:, None] if factor is None else factor.sub_(scale[:, None])
    logits_gradient = probabilities.mul_(factor)
    logits_gradient.scatter_add_(-1, targets[:, None], scale[:, None])
    return logits_gradient.to(weight.dtype)


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _logits(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    # Autocast is off in the backward pass: forward and recomputation must give the same bits.
    with torch.autocast(hidden.device.type, enabled=False):
        logits = _float32_product(hidden.to(weight.dtype), weight)
        return logits if temperature == 1 else logits.div_(temperature)


def _float32_product(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden @ weight.T in float32: bfloat16 logits near 20 would be 0.125 apart."""
    if weight.dtype == torch.float32:
        return hidden @ weight.T
    if hidden.is_cuda:
        return torch.mm(hidden, weight.T, out_dtype=torch.float32)
    # Float32 copies of bfloat16 numbers are exact, so oneDNN may multiply them as bfloat16; it sums
    # in float32.
    with products("bf16"):
        return hidden.float() @ weight.float().T


def _entropies(logprobs: Tensor) -> Tensor:
    return -(logprobs.exp() * logprobs).sum(-1)


def token_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    temperature: float = 1.0,
    chunk: int = 1024,
    entropy: bool = False,
    compiled: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Log-probability of each target at the given temperature, and the entropy of its distribution;
    both differentiable in hidden and weight.

    Args:
        hidden: [tokens, hidden_size], the states that predict the targets.
        weight: [vocabulary, hidden_size] of the output layer.
        targets: [tokens] int64.
        temperature: divides the logits.
        chunk: tokens whose logits exist at once.
        entropy: whether to compute entropies.
        compiled: whether each chunk's work is compiled to few passes over its logits.

    Returns:
        Log-probabilities [tokens] float32 in nats; entropies [tokens] float32 in nats, or None.
    """
    apply: Any = _ChunkedLogProbs.apply
    return apply(hidden, weight, targets, temperature, chunk, entropy, compiled)


class LogProbHead(nn.Linear):
    """An output layer whose output is log-probabilities of targets instead of logits.

    It is a module because ZeRO stage 3 gathers a weight only around the forward and backward of the
    module that owns it. It keeps the name and shape of the layer it replaces, so that a saved model
    is an ordinary one.
    """

    compiled = False
    """Whether each chunk's work is compiled (`learner.models.compiling`)."""

    @classmethod
    def replacing(cls, layer: nn.Linear) -> "LogProbHead":
        """A head that shares the weight of `layer`.

        Raises:
            ModelError: the layer has a bias.
        """
        if layer.bias is not None:
            raise ModelError("an output layer with a bias is not supported; choose another model")
        with torch.device("meta"):
            head = cls(layer.in_features, layer.out_features, bias=False)
        head.weight = layer.weight
        return head

    def forward(  # type: ignore[override]
        self, hidden: Tensor, targets: Tensor, temperature: float, chunk: int, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """As `token_logprobs`, with the weight of this layer."""
        return token_logprobs(
            hidden, self.weight, targets, temperature, chunk, entropy, self.compiled
        )
