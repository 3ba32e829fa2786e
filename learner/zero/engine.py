"""DeepSpeed ZeRO engines: one model with its optimizer, on any number of ranks."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from learner.config import OptimizerConfig, ZeroConfig
from learner.models.lora import Export, exports
from learner.zero.distributed import ensure_distributed, prepare_deepspeed

prepare_deepspeed()

import deepspeed  # noqa: E402


class NonFiniteGradientError(ArithmeticError):
    """A gradient holds NaN or infinity; nothing of it was applied."""


class Engine:
    """A model, its AdamW and their ZeRO partitions.

    Life: any number of `backward`, then one `step`, on every rank the same number of times.
    DeepSpeed averages gradients over ranks, so a caller who wants the gradient of a global sum
    multiplies its loss by `world_size`.

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
        self._largest = torch.zeros(())
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._watch)
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

    def backward(self, loss: Tensor) -> Tensor:
        """Add the gradient of a scalar loss; returns the largest norm of any parameter's, a scalar
        that is not finite exactly if one of these gradients is not (or its norm overflows).

        So a caller can look at every engine's gradients before it lets any of them step.
        """
        self._largest = torch.zeros((), device=loss.device)
        self._engine.backward(loss)
        return self._largest

    def _watch(self, gradient: Tensor) -> None:
        self._largest = torch.maximum(self._largest, gradient.detach().float().norm())

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
        """(name, dtype, full shape) of what `named_parameters` yields, without gathering any."""
        return [
            (one.name, first.dtype, tuple(getattr(first, "ds_shape", first.shape)))
            for one in exports(self.module)
            for first in one.parameters[:1]
        ]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, full tensor) of every weight, adapters merged in; valid until the next one is
        asked for, so copy what you keep.

        Under stage 3 every rank must iterate to the end: bucket after bucket is gathered, no more
        at once than `export_bucket_mib`, or one weight where that is larger.
        """
        if self.stage < 3:
            yield from ((one.name, one.merged()) for one in exports(self.module))
            return
        for bucket in self._buckets():
            parts = [parameter for one in bucket for parameter in one.parameters]
            with deepspeed.zero.GatheredParameters(parts, modifier_rank=None):
                yield from ((one.name, one.merged()) for one in bucket)

    def _buckets(self) -> Iterator[list[Export]]:
        bucket: list[Export] = []
        size = 0
        for one in exports(self.module):
            # numel() is 0 while a parameter is partitioned.
            whole: Any = one.parameters
            export_bytes = sum(part.ds_numel * part.element_size() for part in whole)
            if bucket and size + export_bytes > self._zero.export_bucket_mib * 2**20:
                yield bucket
                bucket, size = [], 0
            bucket.append(one)
            size += export_bytes
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
    partition: dict[str, Any] = {
        "stage": zero.stage,
        "overlap_comm": False,
        "contiguous_gradients": True,
        "reduce_bucket_size": zero.bucket_elements,
        "allgather_bucket_size": zero.bucket_elements,
    }
    host = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if zero.offload_optimizer:
        partition["offload_optimizer"] = host
    if zero.offload_parameters:
        partition["offload_param"] = host
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": optimizer.max_grad_norm if zero.stage else 0.0,
        "steps_per_print": 10**9,
        "optimizer": {"type": "AdamW", "params": adam},
        "bf16": {"enabled": dtype == torch.bfloat16, "check_grad_overflow": True},
        "zero_optimization": partition,
        # Offloading would otherwise insist on DeepSpeed's own Adam, which is compiled as well.
        "zero_force_ds_cpu_optimizer": False,
    }
