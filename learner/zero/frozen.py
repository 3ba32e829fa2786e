"""A model that is scored and never trained: the reference."""

from typing import Any

import torch
from torch import nn

from learner.config import ZeroConfig
from learner.zero.distributed import device, load_deepspeed
from learner.zero.engine import base_config


class FrozenModel:
    """A model without gradients or optimizer: whole on every rank, or partitioned by ZeRO stage 3.

    Under stage 3 a rank holds its part of the weights, in the host's memory with
    `offload_parameters`, and gathers a layer while it computes.
    """

    def __init__(self, module: nn.Module, zero: ZeroConfig, dtype: torch.dtype) -> None:
        module.requires_grad_(False)
        self._module: Any = module
        if zero.stage == 3:
            config = base_config(zero, dtype)
            self._module = load_deepspeed().initialize(model=module, config=config)[0]
            module.eval()
        else:
            module.to(device())

    def held_bytes(self) -> int:
        """Bytes of the weights that this rank holds between uses."""
        parts = (getattr(p, "ds_tensor", p) for p in self._module.parameters())
        return sum(part.numel() * part.element_size() for part in parts)

    @torch.no_grad()
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward, without gradient."""
        return self._module(*args, **kwargs)
