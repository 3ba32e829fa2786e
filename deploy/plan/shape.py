"""ModelShape: the sizes of a causal language model that its memory follows from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learner.config import ModelConfig


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder; elements, not bytes."""

    parameters: int
    """Weights; one that two layers share counts once."""
    largest: int
    """Elements of the largest weight, in most models the embedding."""
    layers: int
    """Blocks."""
    block: int
    """Weights of one block."""
    hidden: int
    """Width of the residual stream."""
    intermediate: int
    """Width of the feed-forward layer."""
    kv_width: int
    """Key-value heads times the size of a head."""
    vocabulary: int
    """Rows of the output layer."""
    kv_heads: int
    """Key-value heads: an engine divides them among its GPUs, and copies them beyond that."""

    def critic(self, layers: int | None) -> int:
        """Weights of a critic's backbone with this many blocks; None keeps all."""
        cut = 0 if layers is None else max(0, self.layers - layers)
        return self.parameters - cut * self.block


def model_shape(folder: Path, trust_remote_code: bool = False) -> ModelShape:
    """The shape of a model folder, by its configuration alone.

    Raises:
        ModelError: the configuration is missing, or of no model that transformers knows.
    """
    from learner.models.pretrained import empty_model

    return shape_of(empty_model(folder, trust_remote_code))


def small_shape(config: ModelConfig) -> ModelShape:
    """The shape of the small Llama that is warm-started, with the largest vocabulary it may have.

    Raises:
        ModelError: the configuration is of no model.
    """
    import torch
    from transformers import LlamaForCausalLM

    from learner.models.networks import small_llama

    with torch.device("meta"):
        return shape_of(LlamaForCausalLM(small_llama(config, config.vocab_size)))


def shape_of(model: Any) -> ModelShape:
    """The shape of a transformers model, whose weights may be on the meta device."""
    config = model.config.get_text_config()
    sizes = {id(weight): weight.numel() for weight in model.parameters()}
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    blocks = [
        sum(weight.numel() for weight in module.parameters())
        for name, module in model.named_modules()
        if name.endswith((".layers.0", ".h.0", ".blocks.0"))
    ]
    return ModelShape(
        parameters=sum(sizes.values()),
        largest=max(sizes.values()),
        layers=config.num_hidden_layers,
        block=blocks[0] if blocks else 0,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        kv_width=kv_heads * head_size,
        vocabulary=model.get_input_embeddings().weight.shape[0],
        kv_heads=kv_heads,
    )
