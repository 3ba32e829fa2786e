"""DevicePlan: a run on one kind of GPU, or on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.config import RunConfig
from deploy.plan.fit import MemoryPlan
from deploy.plan.gpus import Gpu
from deploy.plan.remedies import Remedy, remedies
from deploy.plan.shape import ModelShape
from deploy.plan.speed import StepLoad, StepSeconds, estimate

STEPS = 1000
"""Steps that a cost is given for."""


@dataclass(frozen=True)
class DevicePlan:
    """Memory in bytes."""

    name: str
    """Of the GPU; `cpu`."""
    memory: int | None
    """Of one GPU; None on the CPU."""
    learner_fits: bool
    engine_fits: bool
    engine_share: float | None
    """Share of a GPU that an engine takes; None on the CPU."""
    kv_cache: int
    """KV cache of an engine on each of its GPUs."""
    concurrency: int
    """Whole sequences for which it has room."""
    optimizer_on_host: bool
    """Whether a colocated learner's optimizer state is on the host while the engine has the GPU."""
    seconds: StepSeconds | None
    """None where nothing is known of the device's speed."""
    slots: int | None
    """Sandbox slots that keep up with generation."""
    cost: float | None
    """Of `STEPS` steps, in the unit of the price."""
    remedies: list[Remedy]
    """What to change first where it does not fit."""

    @property
    def fits(self) -> bool:
        """Whether both roles fit."""
        return self.learner_fits and self.engine_fits


@dataclass(frozen=True)
class Pace:
    """What seconds and cost follow from."""

    load: StepLoad
    """Work of a step."""
    program_s: float
    """Time of a slot for a program [seconds]."""
    measured: StepSeconds | None
    """Seconds of a run; None asks for an estimate."""

    def slots(self, seconds: StepSeconds | None) -> int | None:
        """Sandbox slots that keep up."""
        return seconds.slots(self.load.samples, self.program_s) if seconds else None


def plan_gpu(
    config: RunConfig,
    shape: ModelShape,
    memory: MemoryPlan,
    kind: Gpu,
    pace: Pace,
    hourly: float | None,
) -> DevicePlan:
    """The run on one kind of GPU; `hourly` is the price of all of them for an hour."""
    kv_cache = memory.kv_cache(kind.memory)
    learner_fits = memory.learner_fits(kind.memory)
    engine_fits = memory.engine_fits(kind.memory)
    fits = learner_fits and engine_fits
    seconds = pace.measured
    if seconds is None and fits:
        seconds = estimate(config, shape, pace.load, kind, kv_cache, memory.kv_sequence)
    hands_over = memory.hands_over(kind.memory)
    return DevicePlan(
        name=kind.name,
        memory=kind.memory,
        learner_fits=learner_fits,
        engine_fits=engine_fits,
        engine_share=memory.utilization(kind.memory, not hands_over),
        kv_cache=kv_cache,
        concurrency=memory.concurrency(kind.memory),
        optimizer_on_host=hands_over,
        seconds=seconds,
        slots=pace.slots(seconds),
        cost=_cost(seconds, hourly),
        remedies=[] if fits else remedies(config, shape, kind.memory),
    )


def plan_cpu(config: RunConfig, memory: MemoryPlan, pace: Pace, hourly: float | None) -> DevicePlan:
    """The run on CPUs; `hourly` is the price of all machines for an hour."""
    kv_cache = config.rollout.kv_cache_mib << 20
    fits = kv_cache >= memory.kv_sequence
    larger = f"--rollout.kv_cache_mib={-(-memory.kv_sequence >> 20)}"
    return DevicePlan(
        name="cpu",
        memory=None,
        learner_fits=True,
        engine_fits=fits,
        engine_share=None,
        kv_cache=kv_cache,
        concurrency=kv_cache // memory.kv_sequence,
        optimizer_on_host=False,
        seconds=pace.measured,
        slots=pace.slots(pace.measured),
        cost=_cost(pace.measured, hourly),
        remedies=[] if fits else [Remedy((larger,), False)],
    )


def _cost(seconds: StepSeconds | None, hourly: float | None) -> float | None:
    return None if seconds is None or hourly is None else seconds.step * STEPS / 3600 * hourly
