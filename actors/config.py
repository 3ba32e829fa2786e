"""What a run asks of its actors: the rollout fleet, the sandbox pool, the loop, evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RolloutConfig(BaseModel):
    """The vLLM rollout workers and how they sample."""

    model_config = _STRICT

    workers: int = Field(default=1, ge=1)
    """Rollout actors, one vLLM engine each."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature. There is no top-p or top-k in training: a truncated distribution
    has log-probabilities that the learner cannot reproduce."""
    max_new_tokens: int = Field(default=192, ge=1)
    """Longest completion [tokens]."""
    samples_per_prompt: int = Field(default=8, ge=1)
    """Completions of each subtask in one step."""
    max_model_len: int = Field(default=512, ge=16)
    """Longest prompt plus completion [tokens]."""
    max_num_seqs: int = Field(default=128, ge=1)
    """Sequences that one engine decodes together."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """The engine's weights and activations; bfloat16 on GPUs."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs per engine."""
    gpu_memory_utilization: float = Field(default=0.85, gt=0, le=1)
    """Share of a GPU's memory the engine may take."""
    kv_cache_mib: int = Field(default=128, ge=8)
    """KV cache of a CPU engine [MiB]; a GPU engine sizes its own."""
    threads: int = Field(default=1, ge=1)
    """OpenMP threads of a CPU engine. More than the free cores is far slower than one."""
    stop: tuple[str, ...] = ()
    """Strings after which a completion ends though the policy has not ended it, such as a code
    fence. They stay in the completion; `prompt` says what of it becomes the program."""
    start_timeout_s: float = Field(default=300, gt=0)
    """Longest wait for an engine to load, the first time or after a fault [seconds]."""
    heartbeat_s: float = Field(default=5, gt=0)
    """Time between questions to every engine whether it still lives [seconds]."""
    hang_timeout_s: float = Field(default=60, gt=0)
    """An engine that answers nothing for so long is killed and started again [seconds]."""
    retries: int = Field(default=3, ge=0)
    """Times a sample is asked again of another engine after the one that had it died. A prompt
    that kills every engine must end the run rather than go round for ever."""


class SandboxPoolConfig(BaseModel):
    """The sandbox actors; what one sandbox is stands under `sandbox`."""

    model_config = _STRICT

    workers: int = Field(default=1, ge=1)
    """Sandbox actors. Each takes one unit of the Ray resource `sandbox`."""
    slots_per_worker: int = Field(default=2, ge=1)
    """Warm sandboxes (containers) in one actor: programs it runs at a time."""
    retries: int = Field(default=2, ge=0)
    """Times a job with an infrastructure fault is sent again before its sample is dropped."""
    job_timeout_s: float = Field(default=60, gt=0)
    """Longest wait for one verdict, queueing aside, and for a lost worker to come back [seconds].
    A worker that exceeds it counts as lost."""


class LoopConfig(BaseModel):
    """The training loop."""

    model_config = _STRICT

    steps: int = Field(default=100, ge=0)
    """RL steps."""
    prompts_per_step: int = Field(default=16, ge=1)
    """Subtasks asked in one step; times `rollout.samples_per_prompt` makes the batch."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0 evaluates only before and after."""
    eval_samples: int = Field(default=4, ge=1)
    """Completions per held-out problem in an evaluation; pass@1 is their mean."""
    checkpoint_every: int = Field(default=20, ge=0)
    """Steps between checkpoints; 0 writes only the last one."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Checkpoints kept; older ones are removed."""
    verify_every: int = Field(default=0, ge=0)
    """Steps between weight parity checks (learner against every engine); the first and the last
    broadcast are always checked."""
    sample_every: int = Field(default=5, ge=1)
    """Steps between samples of rollouts written to `rollouts.jsonl`."""
    max_staleness: int = Field(default=0, ge=0)
    """Updates by which a sample's weights may be older than those it trains. 0 is strictly
    on-policy; from 1 on the fleet writes the next rounds while the learner learns."""
    learner_restarts: int = Field(default=3, ge=0)
    """Times in a row the learner may be started again from the same checkpoint."""
    step_timeout_s: float = Field(default=900, gt=0)
    """Longest wait for one step's generation and verdicts, once those asked before it are through,
    or for one update [seconds]."""


class WeightsConfig(BaseModel):
    """The weight broadcast."""

    model_config = _STRICT

    backend: Literal["auto", "gloo", "nccl", "ipc"] = "auto"
    """Transport: `nccl` between GPUs, `ipc` where `placement.colocate` has engine and learner on
    one GPU, `gloo` between CPUs; auto takes what fits."""
    timeout_s: float = Field(default=120, gt=0)
    """Longest wait for any peer in the rendezvous, a broadcast or a control call [seconds]."""
    verify_tolerance: float = Field(default=1e-4, gt=0)
    """Largest difference allowed between the learner's and an engine's log-probabilities in a
    parity check [nats]. 1e-4 suits float32; bfloat16 needs about 0.2."""


class PlacementConfig(BaseModel):
    """How roles map to the cluster's resources."""

    model_config = _STRICT

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where models run; auto takes GPUs where the cluster has any."""
    learner_ranks: int = Field(default=1, ge=1)
    """DeepSpeed ranks, one GPU (or one CPU process) each."""
    colocate: bool = False
    """Each engine shares the GPU of one learner rank, and sleeps while the learner learns. Leave
    room for the learner with `rollout.gpu_memory_utilization`: it stays while the engine works."""
    learner_threads: int = Field(default=1, ge=1)
    """Threads of a CPU learner rank. On-policy, it works while the engines wait."""
    sft_threads: int = Field(default=2, ge=1)
    """Threads of the warm start, which runs while nothing else does (CPU)."""
    timeout_s: float = Field(default=60, gt=0)
    """Longest wait for the cluster to grant the run its places [seconds]. Raise it where nodes
    are started on demand."""
    min_free_memory_gib: float = Field(default=4.0, ge=0)
    """Free memory without which a run does not start [GiB]."""
