"""Low-rank adapters through `peft` (LoRA, Hu et al., 2021)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
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
    from peft import inject_adapter_in_model

    layers = {name for name, layer in backbone.named_modules() if isinstance(layer, nn.Linear)}
    linear = {name.rpartition(".")[2] for name in layers}
    for target in config.targets:
        if target not in linear:
            raise ModelError(
                f"lora.targets: {target!r} is no linear layer of the model; "
                f"it has {', '.join(sorted(linear))}"
            )
    settings = _peft_config(config, sorted(linear))
    backbone.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, backbone, ADAPTER)


def _peft_config(config: LoRAConfig, all_targets: Sequence[str], **others: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(config.targets or all_targets),
        **others,
    )


def save_adapters(folder: Path, model: nn.Module, config: LoRAConfig, base: str | None) -> None:
    """Write the adapters alone, as `peft` reads them.

    Args:
        folder: created if missing.
        model: a causal language model whose backbone has adapters.
        config: of the adapters.
        base: folder or hub name of the model that they belong to, for `peft` to load it.
    """
    from safetensors.torch import save_file

    layers = adapted_layers(model)
    targets = sorted({name.rpartition(".")[2] for name in layers})
    settings = _peft_config(config, targets, base_model_name_or_path=base, task_type="CAUSAL_LM")
    settings.inference_mode = True
    folder.mkdir(parents=True, exist_ok=True)
    settings.save_pretrained(str(folder))
    factors = {
        f"base_model.model.{name}.{factor}.weight": getattr(layer, factor)[ADAPTER].weight
        for name, layer in layers.items()
        for factor in ("lora_A", "lora_B")
    }
    save_file(
        {name: weight.detach().contiguous() for name, weight in factors.items()},
        folder / "adapter_model.safetensors",
        {"format": "pt"},
    )


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
