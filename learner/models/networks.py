"""Policy and critic as PyTorch modules over packed rows of tokens."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from learner.config import ModelConfig
from learner.errors import ModelError
from learner.models.batch import BrokenGradient, TokenBatch
from learner.models.logprobs import LogProbHead
from learner.models.packing import pack
from learner.tokenizer import EOS, PAD


class TokenWatch:
    """Finds the tokens whose gradient was not finite in the last backward pass: at the states that
    predict them, and at their embeddings.

    A sequence with a broken gradient anywhere in the network has one at its own embeddings or at
    its prompt's, and a sequence with another prompt has none: attention never crosses a boundary.
    """

    def __init__(self, backbone: Any) -> None:
        self.broken = BrokenGradient()
        backbone.get_input_embeddings().register_forward_hook(self._after_embedding)

    def states(self, states: Tensor) -> Tensor:
        """The final states [targets, hidden_size] as they are, their gradient watched."""
        if states.requires_grad:
            states.register_hook(self._of_states)
        return states

    def _after_embedding(self, _module: nn.Module, _inputs: Any, embeddings: Tensor) -> None:
        self.broken = BrokenGradient()
        if embeddings.requires_grad:
            embeddings.register_hook(self._of_embeddings)

    def _of_embeddings(self, gradient: Tensor) -> None:
        self.broken = self.broken._replace(embeddings=_not_finite(gradient[0]))

    def _of_states(self, gradient: Tensor) -> None:
        self.broken = self.broken._replace(states=_not_finite(gradient))


def _not_finite(rows: Tensor) -> Tensor:
    """[rows] bool: which hold a number that is not finite."""
    return ~torch.isfinite(rows).all(-1)


class PolicyModel(nn.Module):
    """A causal language model whose output is log-probabilities of targets, never logits.

    Always in evaluation mode (no dropout), so that the same tokens give the same bits with and
    without gradient. With `mixed_precision` the backbone multiplies matrices in bfloat16 whatever
    the precision of its weights.

    Raises:
        ModelError: the model has no plain linear output layer, or layers that `pack` refuses.
    """

    def __init__(self, model: PreTrainedModel, mixed_precision: bool = False) -> None:
        super().__init__()
        output: Any = model.get_output_embeddings()
        if not isinstance(output, nn.Linear) or model.base_model is model:
            raise ModelError(
                f"{type(model).__name__} is not a causal language model with a linear output "
                "layer; choose a model that is"
            )
        _check_output(model.config)
        self.model: Any = model
        self.model.set_output_embeddings(LogProbHead.replacing(output))
        self.mixed_precision = mixed_precision
        pack(model.base_model)
        self.watch = TokenWatch(model.base_model)
        self.eval()

    def forward(
        self, batch: TokenBatch, temperature: float, chunk: int, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities and entropies of the targets' distributions.

        Args:
            batch: one packed row.
            temperature: divides the logits.
            chunk: tokens whose logits exist at the same time.
            entropy: whether to compute entropies.

        Returns:
            Log-probabilities [targets] float32 in nats; entropies [targets] float32 in nats, or
            None.
        """
        device = batch.input_ids.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.mixed_precision):
            states = self.watch.states(_states(self.model.base_model, batch))
        return self.model.get_output_embeddings()(
            states, batch.targets, temperature, chunk, entropy
        )


def _check_output(config: Any) -> None:
    """Refuse models that change their logits after the output layer: `LogProbHead` does not."""
    neutral = {"final_logit_softcapping": None, "logit_scale": 1.0, "logits_scaling": 1.0}
    for name, setting in neutral.items():
        if getattr(config, name, setting) != setting:
            raise ModelError(
                f"a model of type {config.model_type} with {name} {getattr(config, name)} is not "
                "supported: its log-probabilities would come out wrong; choose a model whose "
                "logits are those of its output layer"
            )


class ValueHead(nn.Linear):
    """A linear layer to one value that computes in float32, whatever the precision of its weights.

    It starts at zero, so that the first values are a constant and not noise.
    """

    def __init__(self, hidden_size: int, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(hidden_size, 1, dtype=dtype, device=device)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:  # type: ignore[override]
        """Values [tokens] float32 of states [tokens, hidden_size]."""
        bias = self.bias.float()
        return nn.functional.linear(hidden.float(), self.weight.float(), bias)[:, 0]


class CriticModel(nn.Module):
    """A backbone of its own with a value head: the value of the state before each target.

    Raises:
        ModelError: the backbone has layers that `pack` refuses.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        embedding: Any = backbone.get_input_embeddings().weight
        self.value_head = ValueHead(embedding.shape[1], embedding.dtype, embedding.device)
        pack(backbone)
        self.watch = TokenWatch(backbone)
        self.eval()

    def forward(self, batch: TokenBatch) -> Tensor:
        """Values [targets] in float32."""
        return self.value_head(self.watch.states(_states(self.backbone, batch)))


def _states(backbone: nn.Module, batch: TokenBatch) -> Tensor:
    """Final hidden states [targets, hidden_size] that predict the targets."""
    output = backbone(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        cu_seq_lens_q=batch.bounds,
        cu_seq_lens_k=batch.key_bounds,
        max_length_q=batch.longest,
        max_length_k=batch.longest_keys,
        shared_keys=batch.keys,
        use_cache=False,
    )
    return output.last_hidden_state[0, batch.index]


def create_llama(
    config: ModelConfig, tokenizer: PreTrainedTokenizerBase, seed: int
) -> LlamaForCausalLM:
    """A small Llama with random float32 weights and untied embeddings.

    Args:
        config: the shape.
        tokenizer: from `learner.tokenizer.train_tokenizer`; its length is the vocabulary.
        seed: of the weights.

    Raises:
        ModelError: hidden_size is not a multiple of twice the number of heads.
    """
    if config.hidden_size % (2 * config.heads):
        raise ModelError(
            f"model.hidden_size {config.hidden_size} is not a multiple of twice the "
            f"{config.heads} heads (model.heads)"
        )
    torch.manual_seed(seed)
    vocabulary = tokenizer.get_vocab()
    return LlamaForCausalLM(
        small_llama(config, len(tokenizer), eos=vocabulary[EOS], pad=vocabulary[PAD])
    )


def small_llama(
    config: ModelConfig, vocabulary: int, eos: int | None = None, pad: int | None = None
) -> LlamaConfig:
    """The configuration of the Llama that is warm-started.

    Args:
        config: its sizes.
        vocabulary: number of tokens.
        eos: token that ends a text; None where only sizes matter.
        pad: token that fills a batch, likewise.
    """
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.max_position_embeddings,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
    )
