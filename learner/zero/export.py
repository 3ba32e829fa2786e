"""Weights as they leave the learner: full, adapters merged in, and as a Hugging Face folder."""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from learner.models.lora import ADAPTER, adapted_layers
from learner.models.products import products

disable_progress_bar()

_WRITES = threading.RLock()
"""Held by who writes a policy or its description: the model's settings are exchanged meanwhile."""


@dataclass(frozen=True)
class Export:
    """One exported weight, made of one or more parameters."""

    name: str
    """Its name in a model without adapters."""
    parameters: Sequence[nn.Parameter]
    """What it is made of; the first has its shape and dtype."""
    merge: Callable[[], Tensor]
    """Computes the full weight; the parameters must be gathered when this is called."""


def exports(module: nn.Module) -> list[Export]:
    """Every weight of a module in a fixed order; adapters are merged into the weights they adapt.

    A weight that two layers share appears once.
    """
    layers = adapted_layers(module)
    weights = []
    for name, parameter in module.named_parameters():
        owner, _, leaf = name.rpartition(".")
        if ".lora_A." in name or ".lora_B." in name:
            continue
        owner, adapted, _ = owner.rpartition(".base_layer")
        if not adapted:
            weights.append(Export(name, (parameter,), parameter.detach))
        elif leaf == "weight":
            layer = layers[owner]
            factors = (layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight)
            weights.append(Export(f"{owner}.{leaf}", (parameter, *factors), _merging(layer)))
        else:
            weights.append(Export(f"{owner}.{leaf}", (parameter,), parameter.detach))
    return weights


def _merging(layer: Any) -> Callable[[], Tensor]:
    def merge() -> Tensor:
        weight = layer.base_layer.weight.detach()
        with products("ieee"):
            return weight + layer.get_delta_weight(ADAPTER).detach().to(weight.dtype)

    return merge


def buckets(module: nn.Module, limit_bytes: float) -> Iterator[list[Export]]:
    """The exports of a module partitioned by ZeRO stage 3, in consecutive buckets.

    Args:
        module: whose parameters are partitioned.
        limit_bytes: most bytes of full parameters in a bucket; a larger weight is alone in its own.
    """
    bucket: list[Export] = []
    size = 0
    for export in exports(module):
        # ds_numel and not numel(), which is 0 while a parameter is partitioned.
        parameters: Any = export.parameters
        export_bytes = sum(part.ds_numel * part.element_size() for part in parameters)
        if bucket and size + export_bytes > limit_bytes:
            yield bucket
            bucket, size = [], 0
        bucket.append(export)
        size += export_bytes
    if bucket:
        yield bucket


def save_policy(
    folder: Path,
    model: PreTrainedModel,
    weights: Iterable[tuple[str, Tensor]],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write a policy on rank 0 (`write_pretrained`); collective. Arguments of `policy_writer`."""
    policy_writer(folder, model, weights, tokenizer)()


def policy_writer(
    folder: Path,
    model: PreTrainedModel,
    weights: Iterable[tuple[str, Tensor]],
    tokenizer: PreTrainedTokenizerBase,
) -> Callable[[], None]:
    """What writes a policy as it is now, on rank 0 (`write_pretrained`); collective.

    Args:
        folder: replaced if it exists.
        model: gives the configuration.
        weights: (Hugging Face name, full tensor); iterated over on every rank, because gathering
            partitioned weights takes all of them.
        tokenizer: saved beside the weights.
    """
    if torch.distributed.get_rank() == 0:
        full = {name: weight.to("cpu", copy=True) for name, weight in weights}
        return partial(write_pretrained, folder, model, full, tokenizer)
    for _ in weights:
        pass
    return lambda: None


def write_description(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write everything of a model but its weights."""
    with _WRITES:
        model.config.save_pretrained(folder)
        settings: Any = model.generation_config
        # As published: its own `save_pretrained` refuses settings that contradict each other.
        settings.to_json_file(folder / "generation_config.json", use_diff=True)
        tokenizer.save_pretrained(folder)


def write_pretrained(
    folder: Path,
    model: PreTrainedModel,
    weights: dict[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write a Hugging Face folder atomically: under a temporary name beside it, then renamed.

    Args:
        folder: replaced if it exists.
        model: gives the configuration; its own weights may be partitioned.
        weights: full weights by Hugging Face name.
        tokenizer: saved beside the weights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        _WRITES,
        tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary,
    ):
        fresh, old = Path(temporary) / "fresh", Path(temporary) / "old"
        settings: Any = model.generation_config
        model.generation_config = GenerationConfig()
        try:
            model.save_pretrained(fresh, state_dict=weights)
        finally:
            model.generation_config = settings
        write_description(fresh, model, tokenizer)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
