"""Compiled blocks and logits: fewer passes over memory, for a learner on a GPU.

A transformer of half a billion parameters spends more time on reading and writing activations
between its matrix products than on the products. `torch.compile` joins what lies between them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from learner.models.blocks import blocks_of

_OPTIONS: dict[str, Any] = {"emulate_precision_casts": True}
"""Round where the plain model rounds: samples are scored without gradient and learned from with it,
which are two programs, and their log-probabilities must be the same."""


def compile_blocks(backbone: Any) -> None:
    """Compile each block of a backbone at its first use, for rows of any length.

    Raises:
        ModelError: the model has no blocks that transformers marks as such.
    """
    for block in blocks_of(backbone, "learner.compile"):
        block.compile(dynamic=True, options=_OPTIONS)


@cache
def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled at its first use for arguments of any size."""
    return torch.compile(function, dynamic=True, options=_OPTIONS)
