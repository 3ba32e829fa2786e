"""Policy and critic from a Hugging Face folder."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import (
    disable_progress_bar,
    get_verbosity,
    set_verbosity,
    set_verbosity_error,
)

from learner.config import LearnerConfig, LoRAConfig
from learner.errors import ModelError
from learner.models.blocks import blocks_of
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
    trust_remote_code: bool = False,
) -> PolicyModel:
    """The policy, or a second copy of it as the reference, from a Hugging Face folder.

    Args:
        folder: of the model.
        dtype: of the weights.
        mixed_precision: see `PolicyModel`.
        checkpointing: see `checkpoint_gradients`.
        lora: adapters to train instead of the weights; None, or rank 0, trains the weights.
        seed: of the adapters.
        trust_remote_code: whether Python files in the folder may run.

    Raises:
        ModelError: the folder holds no model, or one that is not supported.
    """
    policy = PolicyModel(_load(folder, dtype, trust_remote_code), mixed_precision)
    _prepare(policy.model.base_model, policy, checkpointing, lora, seed)
    return policy


def load_critic(
    folder: Path,
    dtype: torch.dtype,
    layers: int | None = None,
    checkpointing: bool = False,
    lora: LoRAConfig | None = None,
    seed: int = 0,
    trust_remote_code: bool = False,
) -> CriticModel:
    """A critic whose backbone starts as a copy of the policy's.

    Args:
        folder: of the policy.
        dtype: of the weights.
        layers: blocks to keep, from the first; None keeps all.
        checkpointing: see `checkpoint_gradients`.
        lora: adapters to train, beside the value head, instead of the weights.
        seed: of the adapters.
        trust_remote_code: whether Python files in the folder may run.

    Raises:
        ModelError: the folder holds no model, one that is not supported, or one whose blocks cannot
            be cut to `layers`.
    """
    backbone: Any = _load(folder, dtype, trust_remote_code).base_model
    if layers is not None:
        _keep_first_blocks(backbone, layers)
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
    blocks = blocks_of(backbone, "gradient_checkpointing")
    backbone.gradient_checkpointing_enable({"use_reentrant": False})
    # A block recomputes only while its own flag says that it trains. Its children keep theirs:
    # they stay in evaluation mode, without dropout.
    for block in blocks:
        block.training = True


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: Any) -> None:
    """Refuse a tokenizer that a model has no embeddings for.

    A model with more embeddings than tokens is usual: published vocabularies are padded.

    Raises:
        ModelError: the tokenizer has more tokens than the model has embeddings.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer does not fit the model: it has {len(tokenizer)} tokens, "
            f"the model {rows} embeddings; use the tokenizer that the model was trained with"
        )


def empty_model(folder: Path, trust_remote_code: bool = False) -> Any:
    """The model of a folder's configuration, without memory for its weights.

    Raises:
        ModelError: the configuration is missing, or of no model that transformers knows.
    """
    config = _read_config(folder, trust_remote_code)
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # sizes that contradict each other; code that comes with the model
        raise ModelError(
            f"{folder}: a model of type {config.model_type} is not supported, or its config.json "
            f"has a wrong value: {_said(error)}; compare it with the published one"
        ) from error


def try_networks(folder: Path, config: LearnerConfig, trust_remote_code: bool = False) -> None:
    """Build policy and critic as the learner does, without memory for their weights.

    Raises:
        ModelError: the model, or a setting with this model, is not supported.
    """
    policy = PolicyModel(empty_model(folder, trust_remote_code))
    _prepare(policy.model.base_model, policy, config.gradient_checkpointing, config.lora, 0)
    if config.advantage == "gae":
        backbone = empty_model(folder, trust_remote_code).base_model
        if config.critic_layers is not None:
            _keep_first_blocks(backbone, config.critic_layers)
        with torch.device("meta"):
            CriticModel(backbone)


def _keep_first_blocks(backbone: Any, layers: int) -> None:
    """Cut a backbone to its first blocks."""
    blocks = getattr(backbone, "layers", None)
    if not isinstance(blocks, nn.ModuleList):
        raise ModelError(
            f"critic_layers is not supported for models of type {backbone.config.model_type}, "
            f"whose blocks are not in a list `layers`; set learner.critic_layers null"
        )
    if layers > len(blocks):
        raise ModelError(
            f"the critic cannot have {layers} layers, the policy has {len(blocks)}; "
            "lower learner.critic_layers"
        )
    backbone.layers = blocks[:layers]
    backbone.config.num_hidden_layers = layers
    if getattr(backbone.config, "layer_types", None):
        backbone.config.layer_types = backbone.config.layer_types[:layers]


def _load(folder: Path, dtype: torch.dtype, trust_remote_code: bool) -> PreTrainedModel:
    _read_config(folder, trust_remote_code)
    return _loaded(folder, trust_remote_code, dtype=dtype)


def check_stored_weights(folder: Path, trust_remote_code: bool = False) -> None:
    """Refuse a folder whose safetensors lack weights of the model, or have other shapes; only their
    headers are read.

    Raises:
        ModelError: names the first weight that is missing, or what transformers says.
    """
    verbosity = get_verbosity()
    set_verbosity_error()  # it logs a table of all weights
    try:
        _loaded(folder, trust_remote_code, device_map="meta")
    except ModelError:
        raise
    except Exception as error:  # whatever transformers makes of a configuration that it read
        raise ModelError(
            f"{folder}: transformers cannot load it ({_said(error)}): config.json and the "
            "files of the weights do not belong together; copy the folder again"
        ) from error
    finally:
        set_verbosity(verbosity)


def _loaded(folder: Path, trust_remote_code: bool, **options: Any) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, trust_remote_code=trust_remote_code, output_loading_info=True, **options
        )
    except RuntimeError as error:
        if "mismatched_sizes" not in str(error):
            raise
        raise ModelError(
            f"{folder}: its weights have other shapes than config.json says: the files do not "
            "belong together; copy the folder again"
        ) from error
    model, info = loaded
    # transformers fills them with random numbers.
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"{folder}: {len(missing)} weights of the model are in none of its files, the first "
            f"{missing[0]}: config.json (such as tie_word_embeddings) and weights do not belong "
            "together; copy the folder again"
        )
    return model


def _read_config(folder: Path, trust_remote_code: bool) -> Any:
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(
            f"no model in {folder}: it has no config.json; give a Hugging Face model folder"
        )
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # a value of the wrong type; code that comes with the model
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise ModelError(
                f"{folder}: the model brings Python files of its own, which would run here: read "
                "them, then set model.trust_remote_code true"
            ) from error
        raise ModelError(
            f"{folder}: config.json describes no model that transformers knows: {_said(error)}; "
            "compare it with the published one"
        ) from error


def _said(error: Exception) -> str:
    """An error of another package on one line; its class too, where the message says little."""
    text = " ".join(str(error).split())
    plain = isinstance(error, (ValueError, OSError, ImportError))
    return f"{text:.300}" if plain else f"{type(error).__name__}: {text:.300}"
