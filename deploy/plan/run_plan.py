"""RunPlan: what a run takes, on which GPUs it fits, how long a step takes, what it costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actors.cluster.placement import roles
from deploy.config import RunConfig
from deploy.plan.device_plan import DevicePlan, Pace, plan_cpu, plan_gpu
from deploy.plan.fit import MemoryPlan
from deploy.plan.gpus import Gpu
from deploy.plan.host import host_parts
from deploy.plan.measured import measured_seconds
from deploy.plan.memory import Parts
from deploy.plan.shape import ModelShape, model_shape, small_shape
from deploy.plan.speed import ASSUMPTIONS, PROGRAM_S, StepLoad
from learner.models.source import ModelSource


@dataclass(frozen=True)
class RunPlan:
    """What a run takes. Memory in bytes."""

    parameters: int
    """Of the policy."""
    gpu: bool
    """Whether models run on GPUs."""
    counts: dict[str, int]
    """How many of each role, and `GPU` in all."""
    learner: Parts
    """Memory of one rank's GPU; empty on CPUs, where all of it is the host's."""
    engine: Parts
    """Memory of each GPU of an engine, with a KV cache for one sequence; empty on CPUs."""
    hosts: dict[str, Parts]
    """Memory of the host by role, one of each."""
    load: StepLoad
    """Work of a step."""
    slots: int
    """Sandbox slots as configured."""
    program_s: float
    """Time of a slot for a program [seconds]."""
    measured: str | None
    """The run whose seconds these are; None where they are estimates."""
    devices: list[DevicePlan]
    """One for each kind of GPU that was asked for; on CPUs one."""

    def as_json(self) -> dict[str, Any]:
        """For programs: the fields, with what estimates rest on."""
        tree = asdict(self)
        for row, device in zip(tree["devices"], self.devices, strict=True):
            row["fits"] = device.fits
            row["longest_stage"] = device.seconds.longest_stage if device.seconds else None
        return {**tree, "assumptions": None if self.measured else ASSUMPTIONS}


def policy_shape(config: RunConfig) -> ModelShape:
    """The shape of the policy of a run.

    Raises:
        ModelError: the model's configuration is not here and cannot be had, or is of no model.
    """
    if config.model.path is None:
        return small_shape(config.model)
    source = ModelSource(config.model.path, config.model.trust_remote_code)
    return model_shape(source.description(), source.trust_remote_code)


def make_plan(
    config: RunConfig,
    shape: ModelShape,
    gpus: list[Gpu],
    prices: list[float] | None = None,
    run: Path | None = None,
    completion_tokens: float | None = None,
) -> RunPlan:
    """Plan a run.

    Args:
        config: of the run. `placement.colocate` null counts as false.
        shape: of the policy.
        gpus: the kinds to plan for; empty plans for CPUs.
        prices: of each kind, for one GPU and an hour; for CPUs one, of all machines and an hour.
        run: folder of a run of this configuration, whose seconds are taken.
        completion_tokens: mean length of a completion; None is half of the longest.

    Raises:
        ConfigError: `run` cannot be used.
    """
    gpu = bool(gpus)
    memory = MemoryPlan.of(config, shape, gpu)
    program_s, measured = PROGRAM_S, None
    if run is not None:
        measured, program_s = measured_seconds(run, config)
    pace = Pace(StepLoad.of(config, completion_tokens), program_s, measured)
    bundles = roles(config.placement, config.rollout, config.pool, gpu)
    cards = int(sum(count * bundle.get("GPU", 0) for _, count, bundle in bundles))
    hourly: list[float | None] = [None] * max(1, len(gpus))
    if prices:
        hourly = [price * max(1, cards) for price in prices]
    if gpu:
        pairs = zip(gpus, hourly, strict=True)
        devices = [plan_gpu(config, shape, memory, kind, pace, price) for kind, price in pairs]
    else:
        devices = [plan_cpu(config, memory, pace, hourly[0])]
    return RunPlan(
        parameters=shape.parameters,
        gpu=gpu,
        counts={**{role: count for role, count, _ in bundles}, "GPU": cards},
        learner=memory.learner if gpu else {},
        engine=memory.engine if gpu else {},
        hosts=host_parts(config, shape, memory, gpu),
        load=pace.load,
        slots=config.pool.workers * config.pool.slots_per_worker,
        program_s=program_s,
        measured=str(run) if run is not None else None,
        devices=devices,
    )
