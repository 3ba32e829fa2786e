"""Policy, critic and tokenizer from a Hugging Face folder."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.logging import disable_progress_bar

from learner.config import LoRAConfig
from learner.errors import ModelError
from learner.models.lora import add_adapters
from learner.models.networks import CriticModel, PolicyModel

disable_progress_bar()


def load_policy(
    folder: Path,
    dtype: torch.dtype,
    mixed_precision: bool = False,
    checkpointing: bool = False,
    lora: LoRAConfig | None = None,
    seed: int = 0,
) -> PolicyModel:
    """The policy, or a second copy of it as the reference, from a Hugging Face folder.

    Args:
        folder: of the model.
        dtype: of the weights.
        mixed_precision: see `PolicyModel`.
        checkpointing: see `checkpoint_gradients`.
        lora: adapters to train instead of the weights; None, or rank 0, trains the weights.
        seed: of the adapters.

    Raises:
        ModelError: the folder holds no model, or one that is not supported.
    """
    policy = PolicyModel(_load(folder, dtype), mixed_precision)
    _prepare(policy.model.base_model, policy, checkpointing, lora, seed)
    return policy


def load_critic(
    folder: Path,
    dtype: torch.dtype,
    layers: int | None = None,
    checkpointing: bool = False,
    lora: LoRAConfig | None = None,
    seed: int = 0,
) -> CriticModel:
    """A critic whose backbone starts as a copy of the policy's.

    Args:
        folder: of the policy.
        dtype: of the weights.
        layers: blocks to keep, from the first; None keeps all.
        checkpointing: see `checkpoint_gradients`.
        lora: adapters to train, beside the value head, instead of the weights.
        seed: of the adapters.

    Raises:
        ModelError: the folder holds no model, one that is not supported, or one of fewer blocks.
    """
    backbone: Any = _load(folder, dtype).base_model
    if layers is not None:
        blocks = backbone.config.num_hidden_layers
        if layers > blocks:
            raise ModelError(
                f"the critic cannot have {layers} layers, the policy has {blocks}; "
                "lower learner.critic_layers"
            )
        backbone.layers = backbone.layers[:layers]
        backbone.config.num_hidden_layers = layers
    critic = CriticModel(backbone)
    _prepare(backbone, critic, checkpointing, lora, seed)
    return critic


def _prepare(
    backbone: Any, model: nn.Module, checkpointing: bool, lora: LoRAConfig | None, seed: int
) -> None:
    if lora is not None and lora.rank:
        head = [p for name, p in model.named_parameters() if name.startswith("value_head.")]
        model.requires_grad_(False)
        add_adapters(backbone, lora, seed)
        for parameter in head:
            parameter.requires_grad_(True)
        model.eval()
    if checkpointing:
        checkpoint_gradients(backbone)


def checkpoint_gradients(backbone: Any) -> None:
    """Keep only the inputs of the blocks for the backward pass and recompute the rest.

    Raises:
        ModelError: the model has no blocks that support this.
    """
    backbone.gradient_checkpointing_enable({"use_reentrant": False})
    blocks = [m for m in backbone.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not blocks:
        raise ModelError(
            f"{type(backbone).__name__} does not support gradient checkpointing; "
            "set gradient_checkpointing false"
        )
    # A block recomputes only while its own flag says that it trains. Its children keep theirs:
    # they stay in evaluation mode, without dropout.
    for block in blocks:
        block.training = True


def load_tokenizer(folder: Path, model: Any) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model.

    Raises:
        ModelError: it has more tokens than the model has embeddings, or no end of sequence.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"{folder}: the tokenizer does not fit the model: it has {len(tokenizer)} tokens, "
            f"the model {rows} embeddings; use the tokenizer that the model was trained with"
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{folder}: the tokenizer names no eos_token, so no response can end; "
            "set it in tokenizer_config.json"
        )
    return tokenizer


def _load(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"no model in {folder}: it has no config.json; give a Hugging Face model folder"
        )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
