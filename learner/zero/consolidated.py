"""The policy out of a checkpoint, whole, on one machine without its ranks.

Optimizer states are not read; each weight gets the precision that it had in the learner.
"""

import json
import logging
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from learner.config import LearnerConfig, LoRAConfig
from learner.errors import CheckpointError
from learner.models.lora import ADAPTER, adapted_layers, add_adapters, save_adapters
from learner.models.networks import PolicyModel
from learner.models.pretrained import empty_model
from learner.models.published import load_tokenizer
from learner.zero.checkpoint import DESCRIPTION, MANIFEST
from learner.zero.distributed import load_deepspeed
from learner.zero.export import exports, write_pretrained


@dataclass(frozen=True)
class ConsolidatedPolicy:
    """The policy of a checkpoint, on the CPU."""

    policy: PolicyModel
    tokenizer: PreTrainedTokenizerBase
    lora: LoRAConfig
    """Its adapters; rank 0 where it has none."""

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.policy.parameters()).dtype

    def write(self, folder: Path) -> None:
        """Write a Hugging Face folder, adapters merged in."""
        weights = {e.name.removeprefix("model."): e.merge() for e in exports(self.policy)}
        write_pretrained(folder, self.policy.model, weights, self.tokenizer)

    def write_adapters(self, folder: Path, base: str | None) -> None:
        """Write the adapters alone, as `peft` reads them, beside the tokenizer.

        Args:
            folder: created if missing.
            base: folder or hub name of the model that they belong to.

        Raises:
            CheckpointError: the policy has no adapters.
        """
        if not self.lora.rank:
            raise CheckpointError("the checkpoint has no adapters: it was not trained with LoRA")
        save_adapters(folder, self.policy.model, self.lora, base)
        self.tokenizer.save_pretrained(folder)

    def rounded_away(self) -> float:
        """Share of the adapters' change that merging into weights of this precision rounds away:
        the norm of the rest over the norm of the change, over all layers.
        """
        change = rest = 0.0
        for layer in adapted_layers(self.policy).values():
            weight = layer.base_layer.weight.detach()
            scale = layer.scaling[ADAPTER]
            a, b = (
                getattr(layer, f)[ADAPTER].weight.detach().float() for f in ("lora_A", "lora_B")
            )
            exact = scale * (b @ a)
            merged = weight + layer.get_delta_weight(ADAPTER).detach().to(weight.dtype)
            kept = merged.double() - weight.double()
            change += float(exact.square().sum())
            rest += float((exact - kept).square().sum())
        return (rest / change) ** 0.5 if change else 0.0


def read_policy(folder: Path, trust_remote_code: bool = False) -> ConsolidatedPolicy:
    """The policy of the learner's part of a checkpoint, of any ZeRO stage and number of ranks.

    Args:
        folder: a checkpoint's folder `learner`.
        trust_remote_code: whether Python files that came with the model may run.

    Raises:
        CheckpointError: the folder holds no complete checkpoint.
        ModelError: the model is not supported.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        config = LearnerConfig.model_validate(manifest["config"])
        stored = next(v for k, v in manifest["shapes"].items() if k.startswith("policy: "))
        weights = _weights(folder / "policy", manifest["zero_stage"])
    except Exception as error:  # of a file of either that is cut off, too
        raise CheckpointError(
            f"{folder} holds no complete checkpoint: {type(error).__name__}: {error}; export an "
            "earlier one"
        ) from error
    model: Any = empty_model(folder / DESCRIPTION, trust_remote_code)
    settings = folder / DESCRIPTION / "generation_config.json"
    if settings.is_file():
        model.generation_config = GenerationConfig.from_pretrained(settings.parent)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    policy = PolicyModel(model)
    if config.lora.rank:
        add_adapters(model.base_model, config.lora, 0)
    dtype = getattr(torch, stored[0])
    state = {name: weight.to(dtype) for name, weight in weights.items()}
    policy.load_state_dict(state, strict=False, assign=True)
    if tied:
        model.get_output_embeddings().weight = model.get_input_embeddings().weight
    missing = [name for name, weight in policy.named_parameters() if weight.is_meta]
    if missing:
        raise CheckpointError(
            f"{folder}: the checkpoint lacks {len(missing)} weights: {missing[0]}"
        )
    model.config.dtype = dtype
    return ConsolidatedPolicy(policy, load_tokenizer(folder / DESCRIPTION), config.lora)


def _weights(folder: Path, stage: int) -> dict[str, torch.Tensor]:
    """Every weight of a module in float32, by its name."""
    if stage == 0:
        file = folder / "state" / "mp_rank_00_model_states.pt"
        return torch.load(file, map_location="cpu", weights_only=False)["module"]
    load_deepspeed()
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    output = StringIO()
    with redirect_stdout(output):
        weights: Any = get_fp32_state_dict_from_zero_checkpoint(str(folder), tag="state")
    logging.getLogger(__name__).debug("%s", output.getvalue())
    return weights
