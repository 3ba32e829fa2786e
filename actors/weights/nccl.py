"""Both ends of the weight broadcast between GPUs: vLLM's NCCL transport with our deadlines.

vLLM packs and loads the weights. What is added here:

- the rendezvous ends at our deadline, and not after vLLM's 300 s;
- NCCL reports no dead peer and has no timeout, so both ends abort the communicator at the deadline,
  and the learner's end as soon as Ray reports that an engine died. The learner goes on;
- the buffers are bounded (`actors.weights.buffers`);
- a communicator is destroyed before the next one is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from threading import Timer
from typing import Any, ClassVar

import torch
from torch.distributed import Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from vllm.distributed.device_communicators.pynccl import PyNcclCommunicator
from vllm.distributed.utils import StatelessProcessGroup
from vllm.distributed.weight_transfer.base import TrainerInitInfo, WeightSource
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.distributed.weight_transfer.nccl_common import (
    NCCLWeightTransferInitInfo,
    worker_init_payload,
)
from vllm.distributed.weight_transfer.nccl_engine import (
    NCCLTrainerWeightTransferEngine,
    NCCLWeightTransferEngine,
    NCCLWeightTransferUpdateInfo,
)
from vllm.utils.nccl import unpinned_nccl_env

from actors.weights.background import in_background
from actors.weights.buffers import BUFFER_BYTES, NCCL_BUFFERS
from actors.weights.rendezvous import open_group

NCCL_BACKEND = "nccl-deadline"
"""Name in vLLM's factories, where `nccl` is vLLM's own."""

_ABORT_S = 10.0
"""Longest wait for a thread whose communicator was aborted [seconds]."""


@dataclass(kw_only=True)
class NCCLInit(NCCLWeightTransferInitInfo):
    """What an engine needs to join the broadcast group."""

    deadline_s: float


@dataclass
class NCCLSenderInit(TrainerInitInfo):
    """Rendezvous of the sending side; `world_size` counts the sender and every engine worker."""

    backend: ClassVar[str] = NCCL_BACKEND

    master_address: str
    world_size: int
    deadline_s: float


class Communicator:
    """An NCCL communicator that may be destroyed while a collective is under way.

    No call reaches NCCL after `destroy`, which frees what such a call would use.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.destroyed = False

    def broadcast(self, tensor: torch.Tensor, src: int, stream: Any = None) -> None:
        """Enqueue a broadcast from rank `src`.

        Raises:
            RuntimeError: the communicator was destroyed.
        """
        if self.destroyed:
            raise RuntimeError("the NCCL communicator was destroyed")
        self._inner.broadcast(tensor, src=src, stream=stream)

    def destroy(self) -> None:
        """End the collectives under way, on this end, and free the communicator."""
        if not self.destroyed:
            self.destroyed = True
            self._inner.destroy()  # ncclCommAbort, on a thread of its own


def join(store: Store, rank: int, world_size: int, deadline_s: float) -> Communicator:
    """Join the group at `store` as `rank`; waits at most `deadline_s` seconds for the others.

    Raises:
        TimeoutError: not every rank came.
        RuntimeError: NCCL cannot be loaded, or it failed.
    """
    group = StatelessProcessGroup(rank=rank, world_size=world_size, store=store)
    opened = in_background(_open, group)
    try:
        inner = opened.result(deadline_s)
    except TimeoutError:
        raise TimeoutError(
            f"NCCL: not all {world_size} ranks joined within {deadline_s:g} s (weights.timeout_s)"
        ) from None
    if inner.disabled:  # it would do nothing and report nothing
        raise RuntimeError(
            "NCCL: its library cannot be loaded in this process (VLLM_NCCL_SO_PATH names it), or "
            "VLLM_DISABLE_PYNCCL is set"
        )
    return Communicator(inner)


def _open(group: StatelessProcessGroup) -> PyNcclCommunicator:
    with unpinned_nccl_env():
        return PyNcclCommunicator(group, device=_device_index())


def _device_index() -> int:
    return torch.cuda.current_device() if torch.cuda.is_available() else 0


class NCCLReceiver(NCCLWeightTransferEngine):
    """An engine's end.

    Lifecycle: `init_transfer_engine()` joins the learner's group and may be called again to join
    another; `shutdown()` leaves the group.
    """

    init_info_cls = NCCLInit
    deadline_s: float = 0.0
    store: TCPStore | None = None

    def init_transfer_engine(self, init_info: NCCLInit) -> None:  # type: ignore[override]
        """Join the learner's group, leaving an earlier one; blocks until every rank is there."""
        self.shutdown()
        self.deadline_s = deadline_s = init_info.deadline_s
        self.packed = init_info.packed
        self.packed_buffer_size_bytes = init_info.packed_buffer_size_bytes
        self.packed_num_buffers = init_info.packed_num_buffers
        assert init_info.master_address is not None
        assert init_info.master_port is not None
        parallel = self.parallel_config
        rank = init_info.rank_offset + parallel.data_parallel_index * parallel.world_size
        self.store = TCPStore(
            init_info.master_address,
            init_info.master_port,
            is_master=False,
            timeout=timedelta(seconds=deadline_s),
        )
        self.model_update_group = join(  # type: ignore[assignment]
            self.store, rank + parallel.rank, init_info.world_size, deadline_s
        )

    def receive_weights(self, update_info: NCCLWeightTransferUpdateInfo) -> None:
        """Receive one update and load it as it arrives.

        Raises:
            TimeoutError: the update is not complete within the deadline.
        """
        group: Any = self.model_update_group
        if group is None:
            raise RuntimeError("weight update before init_transfer_engine")
        with _destroyed_after(group, self.deadline_s):
            super().receive_weights(update_info)

    def shutdown(self) -> None:
        """Leave the group."""
        super().shutdown()
        self.store = None


@contextmanager
def _destroyed_after(group: Communicator, deadline_s: float) -> Iterator[None]:
    """Destroy `group` if what is inside takes longer, which ends its collectives.

    Raises:
        TimeoutError: it did; whatever came out of the collectives is no weight.
    """
    timer = Timer(deadline_s, group.destroy)
    timer.daemon = True
    timer.start()
    try:
        yield
    except RuntimeError:
        if not group.destroyed:
            raise
    finally:
        timer.cancel()
    if group.destroyed:
        raise TimeoutError(f"NCCL: no whole update within {deadline_s:g} s (weights.timeout_s)")


class NCCLSender(NCCLTrainerWeightTransferEngine):
    """The learner's end. Every learner rank iterates the source; rank 0 alone sends."""

    init_info_cls = NCCLSenderInit  # type: ignore[assignment]
    deadline_s: float = 0.0
    store: TCPStore | None = None

    @classmethod
    def trainer_init(  # type: ignore[override]
        cls, init_info: NCCLSenderInit, *, client: Any, source: WeightSource | None = None
    ) -> NCCLSender:
        """Open the group on rank 0 while the engines join it; an engine's failure ends the wait."""
        assert source is not None
        sender = cls(
            client=client,
            source=source,
            is_sender=init_info.is_sender,
            packed_buffer_size_bytes=BUFFER_BYTES,
            packed_num_buffers=NCCL_BUFFERS,
        )
        sender.deadline_s = deadline_s = init_info.deadline_s
        if not sender.is_sender:
            return sender

        def invite(port: int) -> None:
            invitation = NCCLInit(
                master_address=init_info.master_address,
                master_port=port,
                rank_offset=1,
                world_size=init_info.world_size,
                packed=True,
                packed_buffer_size_bytes=BUFFER_BYTES,
                packed_num_buffers=NCCL_BUFFERS,
                deadline_s=deadline_s,
            )
            client.init_weight_transfer_engine(worker_init_payload(invitation))

        sender.store, group = open_group(
            init_info.master_address,
            deadline_s,
            invite,
            lambda store: join(store, 0, init_info.world_size, deadline_s),
        )
        sender.model_update_group = group  # type: ignore[assignment]
        return sender

    def send_weights(self) -> None:
        """Broadcast the source's current weights and wait until every engine has loaded them.

        Raises:
            TimeoutError: that took longer than the deadline; the communicator is destroyed.
        """
        assert self.source is not None
        if not self.is_sender:
            super().send_weights()
            return
        meta = self.source.metadata()
        update = NCCLWeightTransferUpdateInfo(
            names=[m.name for m in meta],
            dtype_names=[str(m.dtype).removeprefix("torch.") for m in meta],
            shapes=[list(m.shape) for m in meta],
        )
        self._post_send_sync()  # vLLM's packer reads the weights on streams of its own
        self.client.start_weight_update()
        received = in_background(self.client.update_weights, asdict(update))
        sent = in_background(self._send_from, _device_index(), meta)
        self._wait_for(received, sent)
        self.client.finish_weight_update()
        self._post_send_sync()

    def _send_from(self, device: int, meta: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_device(device)  # each thread has its own
        assert self.source is not None
        self._broadcast(self.source, meta)

    def _wait_for(self, received: Future[None], sent: Future[None]) -> None:
        """Wait for both ends; if either fails or is late, end the other one on this side."""
        done, late = wait((received, sent), self.deadline_s, return_when=FIRST_EXCEPTION)
        failed = next(
            (call for call in (received, sent) if call in done and call.exception()), None
        )
        if failed is None and not late:
            return
        # The thread that sends reads the source, and so may the caller only when it has ended.
        self.shutdown()
        wait((sent,), _ABORT_S)
        if failed is not None:
            failed.result()
        raise TimeoutError(
            f"NCCL: {'the broadcast' if sent in late else 'loading'} did not end within "
            f"{self.deadline_s:g} s (weights.timeout_s)"
        )


if NCCL_BACKEND not in WeightTransferEngineFactory._registry:
    WeightTransferEngineFactory.register_engine(NCCL_BACKEND, NCCLReceiver)
