"""An engine's end of the weight broadcast on CPUs, through vLLM's weight-transfer interface.

vLLM has no transport that works on CPUs, so this module registers `gloo` with the factory that
holds vLLM's `nccl` and `ipc`. vLLM imports it in each engine process through `vllm_extension.py`.

The engine loads each bucket while the next `AHEAD_BYTES` arrive: neither end ever holds a second
copy of the whole model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta

import torch
from torch.distributed import ProcessGroup, TCPStore, Work  # pyright: ignore
from vllm.distributed.weight_transfer.base import ParamMeta, WeightTransferEngine
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

from actors.weights.buffers import AHEAD_BYTES
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
            buffer = torch.empty(bucket_bytes(bucket), dtype=torch.uint8)
            ahead.append((bucket, buffer, broadcast(group, buffer)))
            arriving += len(buffer)
        if not ahead:
            return
        bucket, buffer, work = ahead.popleft()
        work.wait(timedelta(seconds=deadline_s))
        arriving -= len(buffer)
        yield from views(buffer, bucket)


class GlooReceiver(WeightTransferEngine[GlooInit, GlooUpdate]):
    """Receives each bucket and loads it through vLLM's layerwise reload.

    Lifecycle: `init_transfer_engine()` joins the learner's group, and may be called again to join
    another; then `start_weight_update()`, `receive_weights()`, `finish_weight_update()` for each
    update; `shutdown()` leaves the group.
    """

    init_info_cls = GlooInit
    update_info_cls = GlooUpdate
    group: ProcessGroup | None = None
    store: TCPStore | None = None
    deadline_s: float = 0.0

    def init_transfer_engine(self, init_info: GlooInit) -> None:
        """Join the learner's group, leaving an earlier one; blocks until every rank is there."""
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
            RuntimeError: the group was never joined, a peer missed the deadline, or the model's
                loader did not read the whole stream.
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
    """Refresh the packed copy of the embedding that a tied `lm_head` keeps."""
    # The layerwise reload repacks only modules that own a parameter, and a tied head owns none: it
    # would compute logits with the weights before the update, and nothing would report it.
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for module in model.modules():
        if isinstance(module, ParallelLMHead) and hasattr(module, "cpu_linear"):
            module.quant_method.process_weights_after_loading(module)


if BACKEND not in WeightTransferEngineFactory._registry:
    WeightTransferEngineFactory.register_engine(BACKEND, GlooReceiver)
