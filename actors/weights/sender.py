"""The learner's end of the weight broadcast: one code path for `gloo` (CPU), `nccl` (GPUs) and
`ipc` (engines that share the learner's GPUs).

    sender = open_sender("gloo", workers, LearnerSource(learner), rank=0, deadline_s=60)
    send(sender, version=7)

The group's members are fixed at the rendezvous: when the fleet changes, a new sender is opened.

The engines' end and the wire format are in `rollout_weights.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import asdict, dataclass
from datetime import timedelta
from threading import Thread
from typing import Any, ClassVar, Protocol, TypeVar

import ray
import torch
from ray.exceptions import GetTimeoutError
from torch.distributed import ProcessGroup, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from vllm.distributed.weight_transfer.base import (
    ParamMeta,
    TrainerInitInfo,
    TrainerWeightTransferEngine,
    WeightSource,
    WeightTransferInitRequest,
    WeightTransferUpdateRequest,
)
from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory

from actors.weights.receiver import (
    GlooInit,
    GlooUpdate,
    broadcast,
    buckets,
    byte_size,
    join,
)

_Result = TypeVar("_Result")

_IPC_BUFFER_BYTES = 256 << 20
"""Weights that engine and learner hold twice at a time on the GPU they share."""


@dataclass
class GlooSenderInit(TrainerInitInfo):
    """Rendezvous of the sending side; `world_size` counts the sender and every engine worker."""

    backend: ClassVar[str] = "gloo"

    master_address: str
    master_port: int
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
        sender.store = store = TCPStore(
            init_info.master_address,
            init_info.master_port,
            is_master=True,
            wait_for_workers=False,
            timeout=timedelta(seconds=deadline_s),
        )
        invitation = GlooInit(
            master_address=init_info.master_address,
            master_port=store.port,
            rank_offset=1,
            world_size=init_info.world_size,
            deadline_s=deadline_s,
        )
        joined = _in_background(client.init_weight_transfer_engine, asdict(invitation))
        group = _in_background(join, store, 0, init_info.world_size, deadline_s)
        wait((joined, group), return_when=FIRST_EXCEPTION)  # each has its deadline
        joined.result(deadline_s)  # first: an engine that fails is why nobody is met here
        sender.group = group.result(deadline_s)
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
        update = GlooUpdate(
            names=[p.name for p in meta],
            dtype_names=[str(p.dtype).removeprefix("torch.") for p in meta],
            shapes=[list(p.shape) for p in meta],
        )
        self.client.start_weight_update()
        received = _in_background(self.client.update_weights, asdict(update))
        stream = iter(self.source)
        for bucket in buckets(meta):
            work = broadcast(self.group, _flat(bucket, stream))
            work.wait(timedelta(seconds=self.deadline_s))  # before the stream takes its tensor back
        received.result(self.deadline_s)
        self.client.finish_weight_update()


def _in_background(function: Callable[..., _Result], *arguments: Any) -> Future[_Result]:
    """Run one half of a pair that blocks until the other half is through.

    On a daemon thread: if the other half fails, this one returns at its deadline at the earliest,
    and neither the error nor the process's exit may wait for it.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True, name=function.__name__).start()
    return future


def _flat(bucket: list[ParamMeta], stream: Iterator[tuple[str, torch.Tensor]]) -> torch.Tensor:
    """The next tensors of `stream` as flat uint8: a lone one where it lies, several in one buffer.

    Raises:
        RuntimeError: the stream's next name is not the one its metadata promised.
    """
    buffer = torch.empty(0, dtype=torch.uint8)
    if len(bucket) > 1:
        buffer = torch.empty(sum(byte_size(p.dtype, p.shape) for p in bucket), dtype=torch.uint8)
    start = 0
    for parameter in bucket:
        name, tensor = next(stream)
        if name != parameter.name:
            raise RuntimeError(f"weight stream yielded {name!r} where {parameter.name!r} was due")
        raw = tensor.detach().to("cpu", parameter.dtype).contiguous().view(-1).view(torch.uint8)
        if len(bucket) == 1:
            return raw
        buffer[start : start + raw.numel()] = raw
        start += raw.numel()
    return buffer


class FleetClient:
    """vLLM's weight-sync control plane over the whole fleet of rollout actors.

    Each engine gets its own `rank_offset`, so that several engines share one broadcast group.
    Every call waits at most `deadline_s` and then raises with the method's name. `version` is the
    number the next update will carry; the senders' own interface has no place for it.
    """

    def __init__(
        self, workers: Sequence[Any], ranks_per_worker: int = 1, deadline_s: float = 120
    ) -> None:
        self.workers = list(workers)
        self.ranks_per_worker = ranks_per_worker
        self.deadline_s = deadline_s
        self.version = 0

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Join every engine to the group described by `init_info`."""
        requests = []
        for i in range(len(self.workers)):
            mine = dict(init_info)
            if "rank_offset" in mine:  # ipc has no ranks
                mine["rank_offset"] += i * self.ranks_per_worker
            requests.append(WeightTransferInitRequest(mine))
        self._wait(
            "init_weight_transfer_engine",
            [
                w.init_weight_transfer_engine.remote(r)
                for w, r in zip(self.workers, requests, strict=True)
            ],
        )

    def start_weight_update(self) -> None:
        """Pause generation and open the update on every engine."""
        self._wait("start_weight_update", [w.start_weight_update.remote() for w in self.workers])

    def update_weights(self, update_info: Any) -> None:
        """Receive one update on every engine; runs beside the sender's broadcasts."""
        request = WeightTransferUpdateRequest(update_info=update_info)
        self._wait("update_weights", [w.update_weights.remote(request) for w in self.workers])

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Close the update and resume generation on every engine."""
        self._wait(
            "finish_weight_update",
            [w.finish_weight_update.remote(self.version) for w in self.workers],
        )

    def _wait(self, method: str, calls: list[Any]) -> None:
        try:
            ray.get(calls, timeout=self.deadline_s)
        except GetTimeoutError:
            answered, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
            silent = [i for i, call in enumerate(calls) if call not in answered]
            raise TimeoutError(
                f"weight broadcast: no answer to {method} from member(s) {silent} of "
                f"{len(calls)} rollout workers within {self.deadline_s:g} s"
            ) from None


class NamedWeights(Protocol):
    """The part of the learner that the broadcast reads."""

    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, dtype and full shape of every policy parameter, in stream order."""
        ...

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The full parameters in Hugging Face names; a collective under ZeRO-3."""
        ...


class LearnerSource(WeightSource):
    """The policy's weights as vLLM's senders read them, once for each update."""

    def __init__(self, learner: NamedWeights) -> None:
        self._learner = learner
        self._stream: Iterator[tuple[str, torch.Tensor]] | None = None

    def metadata(self) -> list[ParamMeta]:
        """Name, dtype and full shape of every parameter, without gathering."""
        return [ParamMeta(*row) for row in self._learner.weight_shapes()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        self._stream = self._learner.named_weights()
        return self._stream

    def rewind(self) -> None:
        """The next update begins."""
        self._stream = None

    def drain(self) -> None:
        """Run this update's stream to its end, begun or not: under ZeRO-3 the other ranks gather
        on, whatever became of the engines.
        """
        for _ in self if self._stream is None else self._stream:
            pass


def send(sender: TrainerWeightTransferEngine[Any], version: int) -> int:
    """Broadcast the source's current weights as `version`; returns the bytes of one copy.

    Raises:
        RuntimeError, TimeoutError, ray.exceptions.RayError: an engine is gone, failed, or missed
            the deadline. The group is unusable then, and its engines may hold half an update.
    """
    source = sender.source
    assert isinstance(source, LearnerSource)
    assert isinstance(sender.client, FleetClient)
    sender.client.version = version
    source.rewind()
    try:
        sender.send_weights()
    finally:
        source.drain()
    return sum(byte_size(p.dtype, p.shape) for p in source.metadata())


def open_sender(
    backend: str,
    workers: Sequence[Any],
    source: LearnerSource,
    rank: int,
    ranks_per_worker: int = 1,
    deadline_s: float = 120,
) -> TrainerWeightTransferEngine[Any]:
    """Rendezvous this learner rank with the fleet.

    Args:
        backend: `gloo` (CPU), `nccl` (GPUs) or `ipc` (engines on the learner's GPUs).
        workers: handles of the rollout actors, in a fixed order.
        source: the policy's weights; every learner rank iterates its own in step.
        rank: this learner's rank; 0 sends.
        ranks_per_worker: engine processes per actor (tensor x pipeline parallel size).
        deadline_s: longest wait for any peer, here and in every broadcast [seconds].
    """
    world_size = 1 + len(workers) * ranks_per_worker
    address = ray.util.get_node_ip_address()
    if backend == "gloo":
        info: TrainerInitInfo = GlooSenderInit(address, 0, world_size, deadline_s, rank=rank)
    elif backend == "nccl":
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        info = NCCLTrainerInitInfo(address, _free_port(), world_size, rank=rank)
    elif backend == "ipc":
        from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

        info = IPCTrainerInitInfo(
            packed=True, packed_buffer_size_bytes=_IPC_BUFFER_BYTES, rank=rank
        )
    else:
        raise ValueError(f"weights.backend {backend!r}: choose gloo, nccl or ipc")
    client = FleetClient(workers, ranks_per_worker, deadline_s)
    try:
        return WeightTransferTrainerFactory.trainer_init(info, client=client, source=source)
    except BaseException:
        source.drain()  # the other ranks meet nobody: they are gathering
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


if "gloo" not in WeightTransferTrainerFactory._registry:
    WeightTransferTrainerFactory.register_engine("gloo", GlooSender)
