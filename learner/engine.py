"""DeepSpeed ZeRO engines: one model with its optimizer, on any number of ranks."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from learner.config import OptimizerConfig, ZeroConfig
from learner.distributed import ensure_distributed, prepare_deepspeed

prepare_deepspeed()

import deepspeed  # noqa: E402


class NonFiniteGradientError(ArithmeticError):
    """A gradient holds NaN or infinity; nothing of it was applied."""


class Engine:
    """A model, its AdamW and their ZeRO partitions.

    Life: any number of `backward`, then one `step`, on every rank the same number of times.
        DeepSpeed averages
    gradients over ranks, so a caller who wants the gradient of a global sum multiplies its loss by
    `world_size`.

    Raises:
        ValueError: bfloat16 is asked for with stage 0, which keeps no float32 master weights.
    """

    def __init__(
        self, module: nn.Module, optimizer: OptimizerConfig, zero: ZeroConfig, dtype: torch.dtype
    ) -> None:
        if zero.stage == 0 and dtype != torch.float32:
            raise ValueError("ZeRO stage 0 is for float32 only: choose stage 1 or higher")
        self.rank, self.world_size = ensure_distributed()
        self._max_grad_norm = optimizer.max_grad_norm
        self._zero = zero
        self.stage = zero.stage
        self._grad_norm = 0.0
        initialize: Any = deepspeed.initialize
        self._engine, _, _, _ = initialize(
            model=module,
            model_parameters=[p for p in module.parameters() if p.requires_grad],
            config=_deepspeed_config(optimizer, zero, dtype),
        )
        if zero.stage == 0:
            self._engine.basic_optimizer.register_step_pre_hook(self._clip)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward."""
        return self._engine(*args, **kwargs)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a scalar loss."""
        self._engine.backward(loss)

    def step(self, lr: float) -> float:
        """Apply the accumulated gradient at learning rate `lr`; returns its global norm before
        clipping.

        Raises:
            NonFiniteGradientError: on every rank; the weights are as before.
        """
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr
        self._engine.step()
        if self.stage > 0:
            self._grad_norm = float(self._engine.get_global_grad_norm())
            if not self._engine.was_step_applied():
                raise NonFiniteGradientError("the gradient is not finite")
        return self._grad_norm

    def _clip(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Stage 0: DeepSpeed would clip, but tell neither the norm nor that it is not finite."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._max_grad_norm))
        if not math.isfinite(norm):
            optimizer.zero_grad()
            raise NonFiniteGradientError("the gradient is not finite")
        self._grad_norm = norm

    @property
    def module(self) -> Any:
        """The module given, whose parameters are empty between uses under stage 3."""
        return self._engine.module

    def parameter_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """(name, dtype, full shape) of every parameter, without gathering any."""
        return [
            (name, parameter.dtype, tuple(getattr(parameter, "ds_shape", parameter.shape)))
            for name, parameter in self.module.named_parameters()
        ]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, full tensor) of every parameter; valid until the next one is asked for, so copy
        what you keep.

        Under stage 3 every rank must iterate to the end: bucket after bucket is gathered, no more
        at once than `export_bucket_mib`.
        """
        if self.stage < 3:
            yield from ((name, p.detach()) for name, p in self.module.named_parameters())
            return
        for bucket in self._buckets():
            with deepspeed.zero.GatheredParameters([p for _, p in bucket], modifier_rank=None):
                yield from ((name, p.detach()) for name, p in bucket)

    def _buckets(self) -> Iterator[list[tuple[str, nn.Parameter]]]:
        bucket: list[tuple[str, nn.Parameter]] = []
        size = 0
        for name, parameter in self.module.named_parameters():
            # numel() is 0 while the parameter is partitioned.
            parameter_bytes = parameter.ds_numel * parameter.element_size()
            if bucket and size + parameter_bytes > self._zero.export_bucket_mib * 2**20:
                yield bucket
                bucket, size = [], 0
            bucket.append((name, parameter))
            size += parameter_bytes
        if bucket:
            yield bucket

    def save(self, folder: Path) -> None:
        """Write weights and optimizer state of all ranks into `folder`."""
        self._engine.save_checkpoint(str(folder), tag="state", save_latest=False)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote, with the same number of ranks and the same stage.

        Raises:
            FileNotFoundError: there is no checkpoint.
        """
        path, _ = self._engine.load_checkpoint(str(folder), tag="state")
        if path is None:
            raise FileNotFoundError(f"no checkpoint of an engine in {folder}")


def _deepspeed_config(
    optimizer: OptimizerConfig, zero: ZeroConfig, dtype: torch.dtype
) -> dict[str, Any]:
    adam = {
        "lr": optimizer.lr,
        "betas": list(optimizer.betas),
        "eps": optimizer.eps,
        "weight_decay": optimizer.weight_decay,
        "torch_adam": True,  # the fused ones are compiled at first use
    }
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": optimizer.max_grad_norm if zero.stage else 0.0,
        "steps_per_print": 10**9,
        "optimizer": {"type": "AdamW", "params": adam},
        "bf16": {"enabled": dtype == torch.bfloat16, "check_grad_overflow": True},
        "zero_optimization": {
            "stage": zero.stage,
            "overlap_comm": False,
            "contiguous_gradients": True,
            "reduce_bucket_size": zero.bucket_elements,
            "allgather_bucket_size": zero.bucket_elements,
        },
    }
