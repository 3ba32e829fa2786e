"""Memory of the host that each role takes: what a container of it requests [bytes]."""

from __future__ import annotations

from actors.weights.buffers import gloo_buffer_bytes
from deploy.config import RunConfig
from deploy.plan.fit import MemoryPlan
from deploy.plan.memory import Parts, stored_bytes
from deploy.plan.shape import ModelShape

_GIB = 1 << 30
LEARNER_PROCESS = int(0.65 * _GIB)
"""Interpreter, torch and DeepSpeed of a rank: so that the smoke run's rank, of 0.77 GiB at its
peak, has its model's 0.09 beside it (27 November 2026)."""
ENGINE_PROCESS = int(1.8 * _GIB)
"""The same of vLLM's two processes, the actor and its engine core: 1.98 GiB together at the peak
of the smoke run, of which the model, its cache, its buffers and a forward pass are 0.18."""
CUDA_PROCESS = 3 * _GIB
"""What CUDA's libraries and pinned buffers add. An assumption: it was not measured."""
COLLECTOR_PROCESS = int(0.3 * _GIB)
"""A collector, with a vocabulary of 150,000; 0.24 GiB before its first sample (27 November 2026).
Counted with every engine, because a node's only engine has a collector too."""
SANDBOX_PROCESS = int(0.15 * _GIB)
"""A sandbox worker, without the programs; 0.14 GiB in the smoke run."""
DRIVER = 4 * _GIB
"""Driver, data set, Ray's head and dashboard. An assumption."""


def host_parts(
    config: RunConfig, shape: ModelShape, memory: MemoryPlan, gpu: bool
) -> dict[str, Parts]:
    """Memory of the host by role, one of each; on CPUs models are in it too.

    Args:
        config: of the run, its placement resolved.
        shape: of the policy.
        memory: what the roles take of a GPU or, without one, of the host.
        gpu: whether models run on GPUs.
    """
    if gpu:
        learner, engine = _learner_beside_gpu(config, shape), _engine_beside_gpu(config, shape)
    else:
        learner = {**memory.learner, "allowance": LEARNER_PROCESS}
        engine = _engine_without_gpu(config, shape, memory.engine)
    if config.loop.checkpoint_in_background:
        learner["checkpoint that is being written"] = _checkpoint(config, shape, gpu)
    engine["collector"] = COLLECTOR_PROCESS
    containers = config.pool.slots_per_worker * (config.sandbox.container_memory_mib << 20)
    return {
        "learner rank": learner,
        "engine": engine,
        "sandbox worker": {"process": SANDBOX_PROCESS, "programs, at their limit": containers},
        "driver and Ray's head": {"processes": DRIVER},
    }


def _checkpoint(config: RunConfig, shape: ModelShape, gpu: bool) -> int:
    """The copies that rank 0 writes a checkpoint from: below stage 3 it alone has the weights."""
    learner, ranks = config.learner, config.placement.learner_ranks
    width = 4 if config.learner_dtype(gpu) == "float32" else 2
    stored, weights = stored_bytes(shape, learner, width), _models(config, shape) * width
    if learner.zero.stage == 3:
        copied = stored // ranks
    else:
        copied = weights + max(0, stored - weights) // ranks
    return copied + (shape.parameters * width if config.loop.checkpoint_policy else 0)


def _models(config: RunConfig, shape: ModelShape) -> int:
    """Parameters of policy and critic."""
    learner = config.learner
    critic = shape.critic(learner.critic_layers) if learner.advantage == "gae" else 0
    return shape.parameters + critic


def _learner_beside_gpu(config: RunConfig, shape: ModelShape) -> Parts:
    zero, ranks = config.learner.zero, config.placement.learner_ranks
    width = 4 if config.learner_dtype(gpu=True) == "float32" else 2
    models = _models(config, shape)
    parts = {
        "process": LEARNER_PROCESS + CUDA_PROCESS,
        # One model is read at a time, and leaves the host's memory for the GPU.
        "model while it is read": shape.parameters * width,
    }
    if zero.offload_optimizer or (config.placement.colocate and zero.optimizer_moves):
        parts["optimizer"] = 12 * models // ranks
    if zero.offload_parameters:
        parts["parameters"] = models * width // ranks
    return parts


def _engine_without_gpu(config: RunConfig, shape: ModelShape, engine: Parts) -> Parts:
    width = 4 if config.learner_dtype(gpu=False) == "float32" else 2
    received = min(gloo_buffer_bytes(shape.largest * width), shape.parameters * width)
    # vLLM keeps a second copy of bfloat16 weights, laid out for the processor's matrix products.
    packed = config.resolved_rollout(gpu=False).dtype == "bfloat16"
    return {
        **engine,
        "weights, packed": 2 * shape.parameters if packed else 0,
        "broadcast": received,
        "KV cache of one sequence": 0,
        "KV cache": config.rollout.kv_cache_mib << 20,
        "allowance": ENGINE_PROCESS,
    }


def _engine_beside_gpu(config: RunConfig, shape: ModelShape) -> Parts:
    width = 4 if config.resolved_rollout(gpu=True).dtype == "float32" else 2
    parts = {"processes": (ENGINE_PROCESS + CUDA_PROCESS) * config.rollout.tensor_parallel}
    if config.placement.colocate:
        parts["weights while it sleeps"] = shape.parameters * width
    return parts
