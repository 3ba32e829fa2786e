"""The blocks of a transformer, whatever its family."""

from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from learner.errors import ModelError


def blocks_of(backbone: Any, setting: str) -> list[nn.Module]:
    """The modules that transformers marks as blocks, in order.

    Args:
        backbone: the model without its head.
        setting: the configuration key that needs them.

    Raises:
        ModelError: it has none; the message says to set `setting` false.
    """
    blocks: list[nn.Module] = [
        module for module in backbone.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    if not blocks:
        raise ModelError(
            f"{type(backbone).__name__} has no blocks that transformers marks as such: set "
            f"{setting} false"
        )
    return blocks
