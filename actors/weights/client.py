"""WeightTransferClient: the control calls of a weight broadcast, to all its engines at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from vllm.distributed.weight_transfer.base import (
    WeightTransferInitRequest,
    WeightTransferUpdateRequest,
)

from actors.cluster.ray_calls import some_of


class WeightTransferClient:
    """What vLLM's senders call to prepare and finish an update on the engines.

    vLLM's own client speaks to one engine; this one gives each engine its own `rank_offset`, so
    that all share one broadcast group. Every call waits at most `deadline_s` seconds, and raises
    `TimeoutError` with the method's name where an engine does not answer.
    """

    def __init__(
        self, workers: Sequence[Any], ranks_per_worker: int = 1, deadline_s: float = 120
    ) -> None:
        self.workers = list(workers)
        self.ranks_per_worker = ranks_per_worker
        self.deadline_s = deadline_s
        self.version = 0
        """Version of the next update; vLLM's senders pass none."""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Join every engine to the group described by `init_info`."""
        requests = []
        for i in range(len(self.workers)):
            engine_info = dict(init_info)
            if "rank_offset" in engine_info:  # ipc has no ranks
                engine_info["rank_offset"] += i * self.ranks_per_worker
            requests.append(WeightTransferInitRequest(engine_info))
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
        """Receive one update on every engine; runs while the sender broadcasts."""
        request = WeightTransferUpdateRequest(update_info=update_info)
        self._wait("update_weights", [w.update_weights.remote(request) for w in self.workers])

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Close the update and resume generation on every engine."""
        version = self.version if weight_version is None else int(weight_version)
        calls = [w.finish_weight_update.remote(version) for w in self.workers]
        self._wait("finish_weight_update", calls)

    def _wait(self, method: str, calls: list[Any]) -> None:
        try:
            ray.get(calls, timeout=self.deadline_s)
        except GetTimeoutError:
            answered, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
            silent = [str(i) for i, call in enumerate(calls) if call not in answered]
            raise TimeoutError(
                f"weight broadcast: no answer to {method} from engine(s) {some_of(silent)} of "
                f"{len(calls)} within {self.deadline_s:g} s (weights.timeout_s)"
            ) from None
