"""Configuration of the actors: rollout fleet, sandbox pool, loop, weights, placement."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RolloutConfig(BaseModel):
    """The vLLM rollout workers and how they sample."""

    model_config = _STRICT

    workers: int = Field(default=1, ge=1)
    """Rollout actors, one vLLM engine each."""
    engines_per_collector: int = Field(default=8, ge=1)
    """Most engines of one collector, the process that has them generate, has their programs judged
    and builds the trajectories. All its engines are on one node, where it runs too."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature. There is no top-p or top-k in training: a truncated distribution
    has log-probabilities that the learner cannot reproduce."""
    max_new_tokens: int = Field(default=192, ge=1)
    """Longest completion [tokens]."""
    samples_per_prompt: int = Field(default=8, ge=1)
    """Completions of each subtask in one step."""
    max_model_len: int = Field(default=512, ge=16)
    """Longest prompt plus completion [tokens]."""
    min_new_tokens: int = Field(default=64, ge=1)
    """Room that a prompt must leave within `max_model_len` for its completion [tokens], or
    `max_new_tokens` where that is less. Longer prompts are found before anything is loaded, and
    `data.too_long` says what becomes of them."""
    max_num_seqs: int = Field(default=128, ge=1)
    """Largest number of sequences that one engine decodes together."""
    dtype: Literal["float32", "bfloat16", "auto"] = "auto"
    """The engine's weights and activations. In training `auto` is the learner's precision
    (`learner.dtype`); in an evaluation it is bfloat16 where the model is stored in 16 bits and the
    processor multiplies in bfloat16."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs per engine."""
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    """Share of a GPU's memory that the engine may take. Null is 0.85 or, where that is less, what
    the buffers of the broadcast (and with `placement.colocate` the learner) leave."""
    kv_cache_mib: int = Field(default=128, ge=8)
    """KV cache of a CPU engine [MiB]; a GPU engine sizes its own."""
    threads: int = Field(default=1, ge=1)
    """OpenMP threads of an engine. On CPUs more of them than free cores are far slower than one."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Strings that end a completion, such as a code fence. They stay in the completion; `prompt`
    configures which part of it becomes the program. A newline is `\\n` in double quotes, as in
    ["\\n```"]; elsewhere `\\n` is a backslash and an n."""
    stop_token_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Token ids that end a completion, beside the tokenizer's and the generation configuration's
    end of sequence. They stay in the completion and are learned."""
    start_timeout_s: float = Field(default=300, gt=0)
    """Longest wait for an engine to load, the first time or after a fault [seconds]."""
    heartbeat_s: float = Field(default=5, gt=0)
    """Time between two heartbeats of an engine [seconds]."""
    hang_timeout_s: float = Field(default=60, gt=0)
    """Time without an answer after which an engine is killed and restarted [seconds]."""
    retries: int = Field(default=3, ge=0)
    """Times that a sample is sent to another engine after its engine died. A prompt that kills
    every engine ends the run."""

    @property
    def longest_prompt(self) -> int:
        """Most tokens that a prompt may have."""
        return self.max_model_len - min(self.min_new_tokens, self.max_new_tokens)

    @property
    def said_longest_prompt(self) -> str:
        """How `longest_prompt` comes about, for messages."""
        reserve = min(("min_new_tokens", "max_new_tokens"), key=lambda name: getattr(self, name))
        return (
            f"rollout.max_model_len {self.max_model_len} less rollout.{reserve} "
            f"{getattr(self, reserve)}"
        )

    @model_validator(mode="before")
    @classmethod
    def _training_is_not_truncated(cls, given: Any) -> Any:
        for name in ("top_p", "top_k", "min_p"):
            if isinstance(given, dict) and name in given:
                raise ValueError(
                    f"{name} is not supported in training: the learner has the log-probabilities "
                    f"of the whole distribution, not of a truncated one; leave it out. "
                    f"loop.eval_top_p truncates in evaluations"
                )
        return given

    @model_validator(mode="after")
    def _a_prompt_fits(self) -> RolloutConfig:
        if self.longest_prompt < 1:
            raise ValueError(
                f"max_model_len {self.max_model_len} has no room for a prompt beside "
                f"min_new_tokens {self.min_new_tokens}: raise the one or lower the other"
            )
        return self


class SandboxPoolConfig(BaseModel):
    """The sandbox actors. One sandbox is configured under `sandbox`."""

    model_config = _STRICT

    workers: int = Field(default=1, ge=1)
    """Sandbox actors. Each takes one unit of the Ray resource `sandbox`."""
    slots_per_worker: int = Field(default=2, ge=1)
    """Warm sandboxes (containers) of one actor, each for one program at a time."""
    retries: int = Field(default=2, ge=0)
    """Times that a job with an infrastructure fault is sent again before its sample is dropped."""
    job_timeout_s: float = Field(default=60, gt=0)
    """Longest wait for one verdict, without queueing, and for a lost worker to be back [seconds].
    A worker that exceeds it counts as lost."""


class LoopConfig(BaseModel):
    """The training loop."""

    model_config = _STRICT

    steps: int = Field(default=100, ge=0)
    """RL steps."""
    prompts_per_step: int = Field(default=16, ge=1)
    """Subtasks of one step; the batch holds `rollout.samples_per_prompt` samples of each."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0 evaluates only before and after the run."""
    eval_suites: tuple[str, ...] = ()
    """Suites that every evaluation asks beside the held-out problems: names and paths as `stepcoder
    eval --suite` takes them. Each is reported apart."""
    eval_samples: int = Field(default=4, ge=1)
    """Completions of each held-out problem in an evaluation; pass@1 is the mean over them."""
    eval_temperature: float | None = Field(default=None, ge=0, le=2)
    """Temperature of an evaluation; 0 is greedy, null is the training's."""
    eval_top_p: float = Field(default=1.0, gt=0, le=1)
    """Probability mass that an evaluation samples from."""
    sinks: tuple[Literal["tensorboard", "wandb", "trackio", "mlflow"], ...] = ("tensorboard",)
    """Where figures go beside `metrics.jsonl` and Prometheus; all but TensorBoard also get the
    configuration, some samples with every checkpoint, and the final policy. Each works offline."""
    checkpoint_every: int = Field(default=20, ge=0)
    """Steps between checkpoints; 0 writes only the first and the last one."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Number of checkpoints kept; older ones are removed."""
    checkpoint_in_background: bool = True
    """Whether checkpoints are written while the next steps run, from copies that take as much of
    the host's memory as their files of the disk; else the run waits."""
    checkpoint_policy: bool = False
    """Whether each checkpoint holds the policy as a Hugging Face folder, `policy/`, too."""
    keep_optimizer: int | None = Field(default=None, ge=1)
    """How many of the kept checkpoints, the newest, a run can go on from; of older ones only
    `policy/` is left, without the optimizer's state, and `checkpoint_policy` is required. Null is
    all of them."""
    checkpoint_timeout_s: float = Field(default=3600, gt=0)
    """Longest wait for the learner to write or read a checkpoint or a policy, and for a step's
    recorded rollouts to be written [seconds]."""
    verify_every: int = Field(default=0, ge=0)
    """Steps between weight parity checks (learner against every ready engine); 0 checks only the
    first and the last broadcast. `weights.verify_tolerance` is what they may differ by."""
    record: str = "groups 2"
    """Rollouts kept of each step, as whole groups in `rollouts/`, for `stepcoder inspect`: `all`,
    `none`, or `groups N`. Which N groups depends on their problems' ids only, so that a problem
    that is recorded once is recorded again when it is asked again."""
    resample_rounds: int = Field(default=0, ge=0)
    """Dynamic sampling (DAPO, Yu et al., 2025, section 3.2): most further rounds of generation in a
    step, each of which replaces the groups without signal (all rewards equal) by other prompts.
    Groups without signal are then dropped and counted, unless no group has any. Needs
    max_staleness 0."""
    max_staleness: int = Field(default=0, ge=0)
    """Updates by which a sample's weights may be older than those it trains. 0 is strictly
    on-policy; from 1 on, the fleet generates the next rounds while the learner learns, and
    `learner.importance_cap` is required."""
    learner_restarts: int = Field(default=3, ge=0)
    """Times that the learner may be restarted from one checkpoint."""
    step_timeout_s: float = Field(default=900, gt=0)
    """Longest wait for the generation and verdicts of one step, counted from the end of the step
    before it, or for one update [seconds]."""

    @field_validator("record")
    @classmethod
    def _names_groups(cls, record: str) -> str:
        if not re.fullmatch(r"all|none|groups [1-9][0-9]*", record):
            raise ValueError(f"{record!r} is not all, none, or groups N, such as `groups 2`")
        return record

    @property
    def recorded_groups(self) -> int | None:
        """Groups of each step that are recorded; None: all."""
        if self.record == "all":
            return None
        return 0 if self.record == "none" else int(self.record.removeprefix("groups "))

    def saves_at(self, step: int) -> bool:
        """Whether a checkpoint follows a step."""
        return step == self.steps or _due(step, self.checkpoint_every)

    def evaluates_at(self, step: int) -> bool:
        """Whether an evaluation follows a step, other than the first and the last one."""
        return 0 < step < self.steps and _due(step, self.eval_every)

    def verifies_at(self, step: int) -> bool:
        """Whether the weights of a step are compared with the engines'."""
        return step == self.steps or _due(step, self.verify_every)

    @model_validator(mode="after")
    def _something_is_left_of_a_checkpoint(self) -> LoopConfig:
        if self.keep_optimizer is not None and not self.checkpoint_policy:
            raise ValueError(
                f"keep_optimizer {self.keep_optimizer} needs checkpoint_policy: true: nothing "
                "would be left of older checkpoints"
            )
        return self


class WeightsConfig(BaseModel):
    """The weight broadcast."""

    model_config = _STRICT

    backend: Literal["auto", "gloo", "nccl", "ipc"] = "auto"
    """Transport: `nccl` between GPUs, `ipc` within one GPU (`placement.colocate`), `gloo` between
    CPUs; `auto` chooses by the placement."""
    timeout_s: float = Field(default=120, gt=0)
    """Longest wait for a peer in the rendezvous, in a broadcast or in a control call [seconds]."""
    verify_tolerance: float | None = Field(default=None, gt=0)
    """Difference allowed between the learner's and an engine's log-probabilities in a parity check
    (`loop.verify_every`) [nats]: of the maximum where both compute in float32, else of the 99th
    percentile, and a fifth of it of the mean. Null is 1e-4 in float32 and 0.5 in bfloat16."""


class PlacementConfig(BaseModel):
    """How learner, engines and sandboxes map to the cluster's resources."""

    model_config = _STRICT

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where models run; `auto` uses GPUs if the cluster has any."""
    learner_ranks: int = Field(default=1, ge=1)
    """DeepSpeed ranks, one GPU (or one CPU process) each."""
    colocate: bool | None = None
    """Whether each engine shares the GPU of one learner rank and sleeps while the learner learns.
    Null does so where the cluster has exactly one GPU."""
    learner_threads: int = Field(default=1, ge=1)
    """CPU threads of a learner rank. With `max_staleness: 0` the engines are idle meanwhile."""
    sft_threads: int = Field(default=2, ge=1)
    """CPU threads of the warm start, which runs alone."""
    timeout_s: float = Field(default=60, gt=0)
    """Longest wait for the cluster to grant the run its places [seconds]. Raise it where nodes are
    started on demand."""
    min_free_memory_gib: float = Field(default=4.0, ge=0)
    """Free memory that a run needs to start [GiB]."""


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
