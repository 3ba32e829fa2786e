"""Low-rank adapters through `peft`: putting them in, switching them off, and weights with them
merged in.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from learner.config import LoRAConfig

_ADAPTER = "default"


@dataclass(frozen=True)
class Export:
    """One weight as it is exported, made of one or more parameters."""

    name: str
    """Name it would have without adapters."""
    parameters: Sequence[nn.Parameter]
    """What it is made of; the first has its shape and dtype."""
    merged: Callable[[], Tensor]
    """The full weight; the parameters must be whole (gathered) when this is called."""


def add_adapters(backbone: nn.Module, config: LoRAConfig, seed: int) -> None:
    """Put adapters into a model's linear layers; everything else is frozen.

    The product starts at zero, so the model answers as before; one factor is random, the same for
    the same `seed` on every rank.

    Raises:
        ValueError: a named target is no linear layer of the model.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = {name for name, layer in backbone.named_modules() if isinstance(layer, nn.Linear)}
    known = {name.rpartition(".")[2] for name in layers}
    for target in config.targets:
        if target not in known:
            raise ValueError(
                f"lora.targets: {target!r} is no linear layer of the model; "
                f"it has {', '.join(sorted(known))}"
            )
    settings: Any = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(config.targets or sorted(known)),
    )
    backbone.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, backbone, _ADAPTER)


@contextmanager
def adapters_off(module: nn.Module) -> Iterator[None]:
    """The base model alone, as long as the context lasts."""
    layers = _adapted(module)
    for layer in layers.values():
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers.values():
            layer.enable_adapters(True)


def exports(module: nn.Module) -> list[Export]:
    """Every weight of a module in a fixed order; adapters are merged into the weights they adapt.

    A weight that two layers share appears once.
    """
    layers = _adapted(module)
    found = []
    for name, parameter in module.named_parameters():
        owner, _, leaf = name.rpartition(".")
        if ".lora_A." in name or ".lora_B." in name:
            continue
        owner, adapted, _ = owner.rpartition(".base_layer")
        if not adapted:
            found.append(Export(name, (parameter,), parameter.detach))
        elif leaf == "weight":
            layer = layers[owner]
            parts = (layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight)
            found.append(Export(f"{owner}.{leaf}", (parameter, *parts), _merging(layer)))
        else:
            found.append(Export(f"{owner}.{leaf}", (parameter,), parameter.detach))
    return found


def _adapted(module: nn.Module) -> dict[str, Any]:
    """The layers with adapters, by name."""
    return {name: layer for name, layer in module.named_modules() if hasattr(layer, "lora_A")}


def _merging(layer: Any) -> Callable[[], Tensor]:
    def merged() -> Tensor:
        weight = layer.base_layer.weight.detach()
        return weight + layer.get_delta_weight(_ADAPTER).detach().to(weight.dtype)

    return merged
