"""What a run asks of its model, checked on the driver before any actor starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.checks.model_files import check_description, check_weights
from deploy.config import RunConfig
from deploy.errors import ConfigError
from learner.errors import ModelError
from learner.models.source import ModelSource


def check_model(config: RunConfig) -> RunConfig:
    """Refuse a model that this run cannot be trained on; fetches its small files only.

    Returns:
        The configuration with `model.path` absolute, or pinned to a commit of the hub.

    Raises:
        ConfigError: names `model.path`, what is not supported, and the remedy.
    """
    assert config.model.path is not None
    source = ModelSource(config.model.path, config.model.trust_remote_code)
    try:
        source = source.pinned()
        folder = source.description()
        if source.hub_name is None:
            check_weights(folder)
        check_description(folder)
        _check_supported(folder, config)
        if source.hub_name is None and any(folder.glob("*.safetensors")):
            from learner.models.pretrained import check_stored_weights

            check_stored_weights(folder, source.trust_remote_code)
    except ModelError as error:
        raise ConfigError(f"model.path: {error}") from error
    model = config.model.model_copy(update={"path": source.path})
    return config.model_copy(update={"model": model})


def _check_supported(folder: Path, config: RunConfig) -> None:
    from learner.models.pretrained import check_vocabulary, empty_model, try_networks
    from learner.models.published import load_tokenizer

    trust = config.model.trust_remote_code
    tokenizer: Any = load_tokenizer(folder, trust)
    model = empty_model(folder, trust)
    check_vocabulary(tokenizer, model)
    context_len = context_length(model.config)
    if context_len is not None and config.rollout.max_model_len > context_len:
        raise ModelError(
            f"{folder}: its context has {context_len} tokens, and rollout.max_model_len is "
            f"{config.rollout.max_model_len}; lower it"
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if wrong := [i for i in config.rollout.stop_token_ids if i >= rows]:
        raise ModelError(
            f"{folder}: rollout.stop_token_ids: {wrong[0]} is no token; its ids end at {rows - 1}"
        )
    try_networks(folder, config.learner, trust)


def context_length(model_config: Any) -> int | None:
    """Tokens of a model's context, lengthened by its rope scaling; None where it has no bound."""
    positions = getattr(model_config, "max_position_embeddings", None)
    rope = getattr(model_config, "rope_parameters", None) or {}
    if positions is None or rope.get("rope_type", "default") in ("default", "llama3", "longrope"):
        return positions
    return int((rope.get("original_max_position_embeddings") or positions) * rope.get("factor", 1))
