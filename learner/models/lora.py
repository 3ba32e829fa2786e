"""Low-rank adapters through `peft` (LoRA, Hu et al., 2021)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from learner.config import LoRAConfig
from learner.errors import ModelError

ADAPTER = "default"
"""The name under which peft keeps the one adapter of a layer."""


def add_adapters(backbone: nn.Module, config: LoRAConfig, seed: int) -> None:
    """Put adapters into a model's linear layers and freeze everything else.

    The product of the two factors starts at zero, so the model's output does not change; one factor
    is random, the same for the same `seed` on every rank.

    Raises:
        ModelError: a named target is no linear layer of the model.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = {name for name, layer in backbone.named_modules() if isinstance(layer, nn.Linear)}
    linear = {name.rpartition(".")[2] for name in layers}
    for target in config.targets:
        if target not in linear:
            raise ModelError(
                f"lora.targets: {target!r} is no linear layer of the model; "
                f"it has {', '.join(sorted(linear))}"
            )
    settings: Any = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(config.targets or sorted(linear)),
    )
    backbone.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, backbone, ADAPTER)


@contextmanager
def adapters_off(module: nn.Module) -> Iterator[None]:
    """Within the context the module computes as its base model alone."""
    layers = adapted_layers(module)
    for layer in layers.values():
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers.values():
            layer.enable_adapters(True)


def adapted_layers(module: nn.Module) -> dict[str, Any]:
    """The layers that have adapters, by name."""
    return {name: layer for name, layer in module.named_modules() if hasattr(layer, "lora_A")}
