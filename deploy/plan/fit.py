"""MemoryPlan: what a run takes of its GPUs, and whether that fits."""

from __future__ import annotations

from dataclasses import dataclass

from actors.cluster.devices import GpuMemory
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.plan.memory import Parts, engine_parts, kv_bytes, learner_parts, resident
from deploy.plan.shape import ModelShape

_MOST = 0.85
"""Largest share of a GPU that an engine takes unless it is told otherwise."""
_LEAST = 0.02
"""Smallest share worth a configuration."""


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by part, on one GPU of each role."""

    learner: Parts
    """One learner rank, while it learns."""
    engine: Parts
    """One GPU of an engine, with a KV cache for one sequence."""
    kv_sequence: int
    """KV cache of one whole sequence on each GPU [bytes]."""
    colocated: bool
    """Whether an engine and a learner rank share a GPU and take turns."""
    optimizer_moves: bool
    """Whether a colocated learner can move its optimizer state to the host."""
    share: float | None
    """`rollout.gpu_memory_utilization` as configured."""

    @classmethod
    def of(cls, config: RunConfig, shape: ModelShape, gpu: bool = True) -> MemoryPlan:
        """The plan of a configuration whose placement is resolved."""
        placement, rollout = config.placement, config.rollout
        backend = config.weights_backend(gpu)
        learner = config.resolved_learner()
        widths = {"float32": 4, "bfloat16": 2}
        width = widths[config.learner_dtype(gpu)]
        engine_width = widths[config.resolved_rollout(gpu).dtype]
        ranks = placement.learner_ranks
        return cls(
            learner=learner_parts(shape, learner, ranks, width, rollout.max_model_len, backend),
            engine=engine_parts(shape, rollout, engine_width, backend),
            kv_sequence=kv_bytes(shape, rollout, engine_width),
            colocated=bool(placement.colocate),
            optimizer_moves=bool(placement.colocate) and learner.zero.optimizer_moves,
            share=rollout.gpu_memory_utilization,
        )

    def utilization(self, memory: int, optimizer: bool = True) -> float:
        """Share of a GPU of `memory` bytes that an engine may take.

        Args:
            memory: of the GPU [bytes].
            optimizer: whether a colocated learner keeps its optimizer state on the GPU.
        """
        if self.share is not None:
            return self.share
        outside = self.engine["broadcast"] + self.engine["allowance"]
        if self.colocated:
            outside += resident(self.learner, optimizer)
        share = int(100 * (1 - outside / memory)) / 100
        return max(_LEAST, min(_MOST, share))

    def hands_over(self, memory: int) -> bool:
        """Whether a colocated learner must move its optimizer state to the host while the engine
        has the GPU.
        """
        return self.optimizer_moves and not self._engine_fits(memory, optimizer=True)

    def concurrency(self, memory: int) -> int:
        """Whole sequences for which an engine's KV cache has room."""
        return self.kv_cache(memory) // self.kv_sequence

    def kv_cache(self, memory: int) -> int:
        """KV cache that an engine has on each GPU of `memory` bytes [bytes]; 0 if it has none."""
        share = self.utilization(memory, not self.hands_over(memory))
        return max(0, int(self._cache(memory, share)))

    def _cache(self, memory: int, share: float) -> float:
        """KV cache of an engine that takes this share of a GPU [bytes]."""
        return share * memory - self.engine["weights"] - self.engine["forward pass"]

    def _engine_fits(self, memory: int, optimizer: bool) -> bool:
        share = self.utilization(memory, optimizer)
        outside = self.engine["broadcast"] + self.engine["allowance"]
        if self.colocated:
            outside += resident(self.learner, optimizer)
        whole = share * memory + outside <= memory
        return whole and self._cache(memory, share) >= self.kv_sequence

    def learner_fits(self, memory: int) -> bool:
        """Whether a learner rank fits a GPU of `memory` bytes."""
        return sum(self.learner.values()) <= memory

    def engine_fits(self, memory: int) -> bool:
        """Whether an engine fits a GPU of `memory` bytes, beside a colocated learner."""
        return self._engine_fits(memory, optimizer=True) or (
            self.optimizer_moves and self._engine_fits(memory, optimizer=False)
        )

    def check(self, memory: GpuMemory) -> None:
        """Refuse what cannot fit.

        Raises:
            ConfigError: names the role, its parts in GiB, the GPU, and what to change first.
        """
        if not self.learner_fits(memory.learner):
            raise ConfigError(_refusal("a learner rank", self.learner, memory.learner, _LEARNER))
        if not self.engine_fits(memory.engine):
            parts = dict(self.engine)
            if self.colocated:
                parts["learner beside it"] = resident(self.learner, not self.optimizer_moves)
            raise ConfigError(_refusal("an engine", parts, memory.engine, _ENGINE))


_LEARNER = (
    "more placement.learner_ranks with learner.zero.stage 3, learner.lora.rank 16, "
    "learner.gradient_checkpointing true, a lower learner.token_budget, "
    "learner.zero.offload_optimizer true, or a group baseline (learner.advantage rloo), "
    "which needs no critic"
)
_ENGINE = (
    "learner.zero.stage 2 beside it (its optimizer state can move to the host), "
    "a lower rollout.max_model_len, more rollout.tensor_parallel, another "
    "rollout.gpu_memory_utilization (null chooses it), or placement.colocate false with a GPU of "
    "its own for the engine"
)


def _refusal(who: str, parts: Parts, memory: int, remedy: str) -> str:
    listed = ", ".join(f"{part} {size / 2**30:.1f}" for part, size in parts.items() if size)
    return (
        f"{who} does not fit its GPU of {memory / 2**30:.1f} GiB: by arithmetic it takes "
        f"{sum(parts.values()) / 2**30:.1f} GiB ({listed}). What helps: {remedy}"
    )
