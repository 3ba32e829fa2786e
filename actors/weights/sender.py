"""The learner's end of the weight broadcast.

One code path serves `gloo` (CPUs), `nccl` (GPUs) and `ipc` (engines that share the learner's GPUs):

    sender = open_sender(targets, LearnerSource(learner), rank=0)
    send(sender, version=7)

A broadcast group has a fixed membership: when the engines change, a new sender is opened.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, ClassVar

import ray
import torch
from ray.exceptions import RayError
from torch.distributed import ProcessGroup, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from vllm.distributed.weight_transfer.base import (
    ParamMeta,
    TrainerInitInfo,
    TrainerWeightTransferEngine,
    WeightSource,
)
from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory

from actors.weights.background import in_background
from actors.weights.buffers import ipc_buffer_bytes
from actors.weights.client import WeightTransferClient
from actors.weights.nccl import NCCL_BACKEND, NCCLSender, NCCLSenderInit
from actors.weights.rendezvous import open_group
from actors.weights.source import LearnerSource
from actors.weights.targets import BroadcastTargets
from actors.weights.wire import (
    BACKEND,
    GlooInit,
    GlooUpdate,
    broadcast,
    bucket_bytes,
    buckets,
    byte_size,
    join,
)

BROADCAST_ERRORS = (
    RuntimeError,  # CUDA, NCCL, torch's stores and groups; a stream unlike its description
    ValueError,  # vLLM: a weight larger than its buffer, or unlike its description
    AssertionError,  # vLLM: a tensor on another device than its communicator
    LookupError,
    TypeError,
    OSError,  # sockets, and every TimeoutError
    pickle.PickleError,
    RayError,  # an engine died, or a call of it failed
)
"""What a broadcast may raise, in our code and in vLLM's."""


@dataclass
class GlooSenderInit(TrainerInitInfo):
    """Rendezvous of the sending side; `world_size` counts the sender and every engine worker."""

    backend: ClassVar[str] = BACKEND

    master_address: str
    world_size: int
    deadline_s: float


class GlooSender(TrainerWeightTransferEngine[GlooSenderInit]):
    """The learner's end. Every learner rank iterates the source; rank 0 alone sends."""

    init_info_cls = GlooSenderInit
    group: ProcessGroup | None = None
    store: TCPStore | None = None
    deadline_s: float = 0.0

    @classmethod
    def trainer_init(
        cls, init_info: GlooSenderInit, *, client: Any, source: WeightSource | None = None
    ) -> GlooSender:
        """Open the group on rank 0 while the engines join it; an engine's failure ends the wait."""
        sender = cls(client=client, source=source, is_sender=init_info.is_sender)
        sender.deadline_s = deadline_s = init_info.deadline_s
        if not sender.is_sender:
            return sender

        def invite(port: int) -> None:
            invitation = GlooInit(
                master_address=init_info.master_address,
                master_port=port,
                rank_offset=1,
                world_size=init_info.world_size,
                deadline_s=deadline_s,
            )
            client.init_weight_transfer_engine(asdict(invitation))

        sender.store, sender.group = open_group(
            init_info.master_address,
            deadline_s,
            invite,
            lambda store: join(store, 0, init_info.world_size, deadline_s),
        )
        return sender

    def send_weights(self) -> None:
        """Broadcast the source's current weights and wait until every engine has loaded them."""
        assert self.source is not None
        meta = self.source.metadata()
        if not self.is_sender:
            for _ in self.source:
                pass
            return
        assert self.group is not None
        self.client.start_weight_update()
        received = in_background(self.client.update_weights, asdict(GlooUpdate.of(meta)))
        stream = iter(self.source)
        for bucket in buckets(meta):
            work = broadcast(self.group, flat_bucket(bucket, stream))
            # Wait before the next tensor is asked for: under ZeRO-3 the stream frees the gathered
            # parameter then, and the broadcast reads from it.
            work.wait(timedelta(seconds=self.deadline_s))
        received.result(self.deadline_s)
        self.client.finish_weight_update()

    def shutdown(self) -> None:
        """Leave the group."""
        self.group = self.store = None


def flat_bucket(
    bucket: list[ParamMeta], stream: Iterator[tuple[str, torch.Tensor]]
) -> torch.Tensor:
    """The next tensors of `stream` as flat uint8; a single one is not copied.

    Raises:
        RuntimeError: the stream's next name is not the one its metadata promised.
    """
    buffer = torch.empty(0, dtype=torch.uint8)
    if len(bucket) > 1:
        buffer = torch.empty(bucket_bytes(bucket), dtype=torch.uint8)
    start = 0
    for parameter in bucket:
        name, tensor = next(stream)
        if name != parameter.name:
            raise RuntimeError(f"weight stream yielded {name!r}, expected {parameter.name!r}")
        raw = tensor.detach().to("cpu", parameter.dtype).contiguous().view(-1).view(torch.uint8)
        if len(bucket) == 1:
            return raw
        buffer[start : start + raw.numel()] = raw
        start += raw.numel()
    return buffer


def open_sender(
    targets: BroadcastTargets, source: LearnerSource, rank: int
) -> TrainerWeightTransferEngine[Any]:
    """Open the broadcast group of this learner rank and the engines of `targets`.

    Args:
        targets: the engines, in an order that is the same on every learner rank.
        source: the policy's weights; every learner rank iterates its own in step.
        rank: this learner's rank; 0 sends.

    Raises:
        ValueError: `targets.backend` is unknown.
        BROADCAST_ERRORS: an engine failed or missed the deadline.
    """
    world_size = 1 + len(targets.workers) * targets.ranks_per_worker
    deadline_s = targets.deadline_s
    address = ray.util.get_node_ip_address()
    if targets.backend == BACKEND:
        info: TrainerInitInfo = GlooSenderInit(address, world_size, deadline_s, rank=rank)
    elif targets.backend == "nccl":
        info = NCCLSenderInit(address, world_size, deadline_s, rank=rank)
    elif targets.backend == "ipc":
        from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

        largest = max(byte_size(row.dtype, row.shape) for row in source.metadata())
        info = IPCTrainerInitInfo(
            packed=True, packed_buffer_size_bytes=ipc_buffer_bytes(largest), rank=rank
        )
    else:
        raise ValueError(f"weights.backend {targets.backend!r}: choose gloo, nccl or ipc")
    client = WeightTransferClient(targets.workers, targets.ranks_per_worker, deadline_s)
    try:
        return WeightTransferTrainerFactory.trainer_init(info, client=client, source=source)
    except BaseException:
        source.drain()  # the other ranks have no engines to wait for and gather already
        raise


def send(sender: TrainerWeightTransferEngine[Any], version: int) -> int:
    """Broadcast the source's current weights as `version`; returns the bytes of one copy.

    Raises:
        BROADCAST_ERRORS: an engine is gone, failed, or missed the deadline. The group is unusable
            then, and its engines may hold half an update.
    """
    source = sender.source
    assert isinstance(source, LearnerSource)
    assert isinstance(sender.client, WeightTransferClient)
    sender.client.version = version
    source.rewind()
    try:
        sender.send_weights()
    finally:
        source.drain()
    return bucket_bytes(source.metadata())


if BACKEND not in WeightTransferTrainerFactory._registry:
    WeightTransferTrainerFactory.register_engine(BACKEND, GlooSender)
    WeightTransferTrainerFactory.register_engine(NCCL_BACKEND, NCCLSender)
