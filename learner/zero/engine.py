"""DeepSpeed ZeRO engines: one model with its optimizer, on any number of ranks."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from learner.config import OptimizerConfig, ZeroConfig
from learner.errors import ModelError
from learner.zero.distributed import ensure_distributed, load_deepspeed
from learner.zero.export import buckets, exports
from learner.zero.parameter_groups import parameter_groups
from learner.zero.snapshot import on_host


class NonFiniteGradientError(ArithmeticError):
    """A gradient holds NaN or infinity; no weight was changed by it."""


class Engine:
    """A model, its AdamW and their ZeRO partitions.

    Lifecycle: any number of `backward()`, then one `step()`, the same number of times on every
    rank. DeepSpeed averages gradients over ranks, so a caller who wants the gradient of a sum over
    ranks multiplies its loss by `world_size`. Gradients are accumulated in float32 whatever the
    precision of the weights: in bfloat16 a sum of many micro-batches loses most of its addends.

    Raises:
        ModelError: bfloat16 with stage 0, which keeps no float32 master weights.
    """

    def __init__(
        self, module: nn.Module, optimizer: OptimizerConfig, zero: ZeroConfig, dtype: torch.dtype
    ) -> None:
        if zero.stage == 0 and dtype != torch.float32:
            raise ModelError("ZeRO stage 0 is for float32 only: choose zero.stage 1 or higher")
        self.rank, self.world_size = ensure_distributed()
        self._max_grad_norm = optimizer.max_grad_norm
        self._zero = zero
        self.stage = zero.stage
        self._grad_norm = 0.0
        self._largest_norm = torch.zeros(())
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._record_norm)
        groups = parameter_groups(module, optimizer)
        self._peaks = [group["lr"] for group in groups]
        self._engine, _, _, _ = load_deepspeed().initialize(
            model=module,
            model_parameters=groups,
            config=_trained_config(optimizer, zero, dtype),
        )
        if zero.stage == 0:
            self._engine.basic_optimizer.register_step_pre_hook(self._clip)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward."""
        return self._engine(*args, **kwargs)

    def backward(self, loss: Tensor) -> Tensor:
        """Add the gradient of a scalar loss; returns the largest norm of any parameter's gradient.

        That scalar is not finite exactly if one of these gradients is not (or its norm overflows),
        so a caller can check the gradients of every engine before any of them takes a step.
        """
        self._largest_norm = torch.zeros((), device=loss.device)
        self._engine.backward(loss)
        return self._largest_norm

    def _record_norm(self, gradient: Tensor) -> None:
        self._largest_norm = torch.maximum(self._largest_norm, gradient.detach().float().norm())

    def step(self, lr_share: float) -> float:
        """Apply the accumulated gradient at this share of every group's peak learning rate; returns
        its global norm before clipping.

        Raises:
            NonFiniteGradientError: on every rank; the weights are as before.
        """
        for group, peak in zip(self._engine.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * lr_share
        self._engine.step()
        if self.stage > 0:
            self._grad_norm = float(self._engine.get_global_grad_norm())
            if not self._engine.was_step_applied():
                raise NonFiniteGradientError("the gradient is not finite")
        return self._grad_norm

    def _clip(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Clip in stage 0: DeepSpeed would report neither the norm nor that it is not finite."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._max_grad_norm))
        if not math.isfinite(norm):
            optimizer.zero_grad()
            raise NonFiniteGradientError("the gradient is not finite")
        self._grad_norm = norm

    @property
    def module(self) -> Any:
        """The wrapped module; under stage 3 its parameters are empty between uses."""
        return self._engine.module

    def parameter_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """(name, dtype, full shape) of what `named_parameters` yields, without gathering any."""
        return [
            (export.name, first.dtype, tuple(getattr(first, "ds_shape", first.shape)))
            for export in exports(self.module)
            for first in export.parameters[:1]
        ]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, full tensor) of every weight, adapters merged in.

        A tensor is valid only until the next one is requested: copy what you keep. Under stage 3
        every rank must iterate to the end: one bucket of `export_bucket_mib` is gathered at a time.
        """
        if self.stage < 3:
            yield from ((export.name, export.merge()) for export in exports(self.module))
            return
        for bucket in buckets(self.module, self._zero.export_bucket_mib * 2**20):
            parts = [parameter for export in bucket for parameter in export.parameters]
            with load_deepspeed().zero.GatheredParameters(parts, modifier_rank=None):
                yield from ((export.name, export.merge()) for export in bucket)

    def give_optimizer_state(self) -> None:
        """Move master weights and moments to the host's memory, until `take_optimizer_state`.

        Between the two, weights may be read and saved, and no gradient computed. Nothing moves
        where `ZeroConfig.optimizer_moves` is false.
        """
        if self._zero.optimizer_moves:
            states = load_deepspeed().runtime.zero.offload_config.OffloadStateTypeEnum
            self._engine.offload_states(
                include=[states.hp_params, states.optim_states],
                pin_memory=torch.cuda.is_available(),
            )

    def take_optimizer_state(self) -> None:
        """Move back what `give_optimizer_state` moved."""
        if self._zero.optimizer_moves:
            self._engine.reload_states()

    def save(self, folder: Path) -> None:
        """Write weights and optimizer state of all ranks into `folder`; collective."""
        self._engine.save_checkpoint(str(folder), tag="state", save_latest=False)

    def begin_save(self, folder: Path) -> list[Callable[[], None]]:
        """As `save`, but what is returned writes this rank's files, from copies in the host's
        memory: the engine may go on meanwhile, in another thread.
        """
        writer = self._engine.checkpoint_engine
        write, made = writer.save, list[Callable[[], None]]()

        def keep(state_dict: Any, path: str) -> None:
            made.append(partial(write, on_host(state_dict), path))

        writer.save = keep
        try:
            self.save(folder)
        finally:
            del writer.save  # of the instance; the one of its class is left
        return made

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote, with the same number of ranks and the same stage.

        Raises:
            FileNotFoundError: there is no checkpoint.
        """
        path, _ = self._engine.load_checkpoint(str(folder), tag="state")
        if path is None:
            raise FileNotFoundError(f"no checkpoint of an engine in {folder}")


def _trained_config(
    optimizer: OptimizerConfig, zero: ZeroConfig, dtype: torch.dtype
) -> dict[str, Any]:
    """DeepSpeed's configuration of a model that is trained."""
    adam = {
        "lr": optimizer.lr,
        "betas": list(optimizer.betas),
        "eps": optimizer.eps,
        "torch_adam": True,  # the fused variants are compiled at first use
    }
    return {
        **base_config(zero, dtype),
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": optimizer.max_grad_norm if zero.stage else 0.0,
        "optimizer": {"type": "AdamW", "params": adam},
        "data_types": {"grad_accum_dtype": "fp32"},
        # Stage 1 reduces the sum of all micro-batches, which bfloat16 would round; 2 and 3 reduce
        # each micro-batch's gradient, which has the precision of the weights already.
        **({"communication_data_type": "fp32"} if zero.stage == 1 else {}),
        # Offloading would otherwise require DeepSpeed's own Adam, which is compiled as well.
        "zero_force_ds_cpu_optimizer": False,
    }


def base_config(zero: ZeroConfig, dtype: torch.dtype) -> dict[str, Any]:
    """DeepSpeed's configuration of precision and partitions."""
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
        "steps_per_print": 10**9,
        "bf16": {"enabled": dtype == torch.bfloat16, "check_grad_overflow": True},
        "zero_optimization": partition,
    }
