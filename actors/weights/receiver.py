"""The engine's end of the weight broadcast, through vLLM's own weight-transfer interface.

On GPUs the data plane is vLLM's `nccl` backend. vLLM has none that works on CPUs, so this module
registers `gloo` with the same factory. The learner's end is `rollout_broadcast.py`.

Importing this module registers the backend; vLLM imports it in each engine process through
`rollout_extension.py`.

The payload of one update is the checkpoint-format stream of `(name, tensor)` pairs in buckets, one
broadcast each: a large tensor travels alone and straight from where it lies, small ones together.
The engine repacks what it has while the next `AHEAD_BYTES` arrive: neither side holds a second
whole copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch.distributed import BroadcastOptions, PrefixStore, ProcessGroup, TCPStore, Work  # pyright: ignore
from vllm.distributed.utils import init_gloo_process_group
from vllm.distributed.weight_transfer.base import (
    ParamMeta,
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

BUCKET_BYTES = 1 << 20
"""Upper bound of one broadcast of several tensors [bytes]; a larger tensor travels alone."""

AHEAD_BYTES = 64 << 20
"""What an engine receives ahead of what it loads [bytes], and at least one bucket."""


# ------------------------------------------------------------------------------ wire format


def byte_size(dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Bytes of a contiguous tensor of this dtype and shape."""
    return dtype.itemsize * torch.Size(shape).numel()


def buckets(meta: Iterable[ParamMeta], limit: int = BUCKET_BYTES) -> Iterator[list[ParamMeta]]:
    """Cut the stream into runs of at most `limit` bytes, in order; both sides call this."""
    bucket: list[ParamMeta] = []
    filled = 0
    for parameter in meta:
        size = byte_size(parameter.dtype, parameter.shape)
        if bucket and filled + size > limit:
            yield bucket
            bucket, filled = [], 0
        bucket.append(parameter)
        filled += size
    if bucket:
        yield bucket


def views(buffer: torch.Tensor, bucket: list[ParamMeta]) -> Iterator[tuple[str, torch.Tensor]]:
    """The `(name, tensor)` pairs of `bucket` as views into its flat `buffer` (uint8)."""
    start = 0
    for parameter in bucket:
        end = start + byte_size(parameter.dtype, parameter.shape)
        flat = buffer[start:end]
        if flat.storage_offset() % parameter.dtype.itemsize:
            flat = flat.clone()  # a view as a wider dtype must start on its boundary
        yield parameter.name, flat.view(parameter.dtype).view(parameter.shape)
        start = end


def broadcast(group: ProcessGroup, tensor: torch.Tensor) -> Work:
    """Begin a broadcast from rank 0 (the learner); `wait` for its end with a deadline."""
    options = BroadcastOptions()
    options.rootRank = 0
    options.rootTensor = 0
    return group.broadcast([tensor], options)


def join(store: TCPStore, rank: int, world_size: int, deadline_s: float) -> ProcessGroup:
    """Join the broadcast group at `store` as `rank`; blocks until all `world_size` are there."""
    deadline = timedelta(seconds=deadline_s)
    return init_gloo_process_group(PrefixStore("weights", store), rank, world_size, deadline)


def receive(
    group: ProcessGroup, meta: Iterable[ParamMeta], deadline_s: float
) -> Iterator[tuple[str, torch.Tensor]]:
    """The `(name, tensor)` pairs of one update, each as soon as it is there.

    While the caller works on one, the next `AHEAD_BYTES` arrive. No wait is longer than
    `deadline_s` seconds.
    """
    plan = buckets(meta)
    ahead: deque[tuple[list[ParamMeta], torch.Tensor, Work]] = deque()
    arriving = 0
    while True:
        while arriving < AHEAD_BYTES and (bucket := next(plan, None)):
            buffer = torch.empty(
                sum(byte_size(p.dtype, p.shape) for p in bucket), dtype=torch.uint8
            )
            ahead.append((bucket, buffer, broadcast(group, buffer)))
            arriving += len(buffer)
        if not ahead:
            return
        bucket, buffer, work = ahead.popleft()
        work.wait(timedelta(seconds=deadline_s))
        arriving -= len(buffer)
        yield from views(buffer, bucket)


# ------------------------------------------------------------------------------ the engine's side


@dataclass
class GlooInit(WeightTransferInitInfo):
    """What an engine needs to join the broadcast group."""

    master_address: str
    master_port: int
    rank_offset: int
    world_size: int
    deadline_s: float


@dataclass
class GlooUpdate(WeightTransferUpdateInfo):
    """Names, dtypes and shapes of one update, in the order they travel."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]

    def meta(self) -> list[ParamMeta]:
        """The stream's description, as the sender's `WeightSource.metadata()` gave it."""
        return [
            ParamMeta(name, getattr(torch, dtype), tuple(shape))
            for name, dtype, shape in zip(self.names, self.dtype_names, self.shapes, strict=True)
        ]


class GlooReceiver(WeightTransferEngine[GlooInit, GlooUpdate]):
    """The worker's end: receives each bucket and loads it through vLLM's layerwise reload."""

    init_info_cls = GlooInit
    update_info_cls = GlooUpdate
    group: ProcessGroup | None = None
    store: TCPStore | None = None
    deadline_s: float = 0.0

    def init_transfer_engine(self, init_info: GlooInit) -> None:
        """Join the learner's group, leaving an earlier one; blocks until every member is there."""
        self.shutdown()
        self.deadline_s = init_info.deadline_s
        parallel = self.parallel_config
        rank = init_info.rank_offset + parallel.data_parallel_index * parallel.world_size
        self.store = store = TCPStore(
            init_info.master_address,
            init_info.master_port,
            is_master=False,
            timeout=timedelta(seconds=self.deadline_s),
        )
        self.group = join(store, rank + parallel.rank, init_info.world_size, self.deadline_s)

    def start_weight_update(self) -> None:
        """Put the model into layerwise-reload mode."""
        from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: GlooUpdate) -> None:
        """Receive one update and load it as it arrives.

        Raises:
            RuntimeError: the group was never joined, or a peer missed the deadline.
        """
        if self.group is None:
            raise RuntimeError("weight update before init_transfer_engine")
        received = receive(self.group, update_info.meta(), self.deadline_s)
        self.model.load_weights(received)  # type: ignore[operator]
        for name, _ in received:
            raise RuntimeError(f"the model's loader stopped before {name!r}")

    def finish_weight_update(self) -> None:
        """Repack the loaded weights for the CPU kernels."""
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

        finalize_layerwise_reload(self.model, self.model_config)
        _repack_tied_heads(self.model)

    def shutdown(self) -> None:
        """Leave the group."""
        self.group = self.store = None


def _repack_tied_heads(model: torch.nn.Module) -> None:
    """Refresh the packed copy that a tied `lm_head` keeps of the embedding.

    The layerwise reload only repacks modules that own a parameter, so a tied head would go on
    answering with the weights before the update, in silence.
    """
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for module in model.modules():
        if isinstance(module, ParallelLMHead) and hasattr(module, "cpu_linear"):
            module.quant_method.process_weights_after_loading(module)


if "gloo" not in WeightTransferEngineFactory._registry:
    WeightTransferEngineFactory.register_engine("gloo", GlooReceiver)
