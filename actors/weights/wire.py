"""What both ends of the weight broadcast agree on: the rendezvous, the metadata and the buckets.

One update is the checkpoint-format stream of `(name, tensor)` pairs, cut into buckets of one
broadcast each: a large tensor travels alone and straight from where it lies, small ones together
as one flat buffer. Both ends cut the same stream, so no bucket needs a header.

The learner's end is `sender.py`, an engine's end `receiver.py`. They use these functions for the
`gloo` transport on CPUs; on GPUs vLLM's own `nccl` and `ipc` transports have a format of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch.distributed import BroadcastOptions, PrefixStore, ProcessGroup, TCPStore, Work  # pyright: ignore
from vllm.distributed.utils import init_gloo_process_group
from vllm.distributed.weight_transfer.base import (
    ParamMeta,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)

BACKEND = "gloo"
"""Name of the CPU transport in vLLM's factories."""

BUCKET_BYTES = 1 << 20
"""Upper bound of one broadcast of several tensors [bytes]; a larger tensor travels alone."""


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

    @classmethod
    def of(cls, meta: Iterable[ParamMeta]) -> GlooUpdate:
        """The description of the stream with this metadata, in types that travel as JSON."""
        rows = list(meta)
        return cls(
            names=[p.name for p in rows],
            dtype_names=[str(p.dtype).removeprefix("torch.") for p in rows],
            shapes=[list(p.shape) for p in rows],
        )

    def meta(self) -> list[ParamMeta]:
        """The metadata that `of` was given."""
        return [
            ParamMeta(name, getattr(torch, dtype), tuple(shape))
            for name, dtype, shape in zip(self.names, self.dtype_names, self.shapes, strict=True)
        ]


def byte_size(dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Bytes of a contiguous tensor of this dtype and shape."""
    return dtype.itemsize * torch.Size(shape).numel()


def bucket_bytes(bucket: Iterable[ParamMeta]) -> int:
    """Bytes of the flat buffer that carries `bucket`."""
    return sum(byte_size(p.dtype, p.shape) for p in bucket)


def buckets(meta: Iterable[ParamMeta], limit: int = BUCKET_BYTES) -> Iterator[list[ParamMeta]]:
    """Cut the stream into runs of at most `limit` bytes, in order; a larger tensor stands alone."""
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


def join(store: TCPStore, rank: int, world_size: int, deadline_s: float) -> ProcessGroup:
    """Join the broadcast group at `store` as `rank`; blocks until all `world_size` are there."""
    deadline = timedelta(seconds=deadline_s)
    return init_gloo_process_group(PrefixStore("weights", store), rank, world_size, deadline)


def broadcast(group: ProcessGroup, tensor: torch.Tensor) -> Work:
    """Begin a broadcast from rank 0 (the learner); `wait` for its end with a deadline."""
    options = BroadcastOptions()
    options.rootRank = 0
    options.rootTensor = 0
    return group.broadcast([tensor], options)
