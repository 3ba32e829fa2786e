"""Seconds of a step on GPUs, from data sheets and assumptions; none of it was measured.

Decoding is bound by memory: each token of a batch reads all weights and the batch's KV cache. An
update is bound by arithmetic: 6 operations per parameter and token forward and backward (Chowdhery
et al., 2022, appendix B), 2 for each pass without gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deploy.config import RunConfig
from deploy.plan.gpus import Gpu
from deploy.plan.shape import ModelShape

PROGRAM_S = 0.1
"""Time of a slot for a program [seconds]: the cost of the sandbox is 1 ms, the rest is the
programs' own, of which policies write slow ones."""

ASSUMPTIONS = {
    "share of the memory bandwidth in decoding": 0.6,
    "share of the peak FLOP/s in an update (MFU)": 0.35,
    "share of the peak FLOP/s in a prefill": 0.5,
    "scheduling and launch of a decoding step [s]": 0.004,
    "weight broadcast [bytes/s]": 10e9,
    "slot of a sandbox, for a program [s]": PROGRAM_S,
}
"""What the seconds rest on. `stepcoder plan --run` takes the seconds of a run instead."""


@dataclass(frozen=True)
class StepLoad:
    """Work of one step."""

    samples: int
    """Completions."""
    prompts: int
    """Subtasks; the samples of one share its prompt in the engine's prefix cache."""
    prompt_tokens: float
    """Mean length of a prompt [tokens]."""
    completion_tokens: float
    """Mean length of a completion [tokens]."""
    longest: int
    """Longest completion [tokens]; with many samples one reaches it."""

    @classmethod
    def of(cls, config: RunConfig, completion_tokens: float | None) -> StepLoad:
        """What a configuration asks in a step.

        Args:
            config: of the run.
            completion_tokens: mean length of a completion; None is half of the longest.
        """
        rollout = config.rollout
        longest = min(rollout.max_new_tokens, rollout.max_model_len - 1)
        return cls(
            samples=config.loop.prompts_per_step * rollout.samples_per_prompt,
            prompts=config.loop.prompts_per_step,
            prompt_tokens=(rollout.max_model_len - longest) / 2,
            completion_tokens=longest / 2 if completion_tokens is None else completion_tokens,
            longest=longest,
        )


@dataclass(frozen=True)
class StepSeconds:
    """Wall time of the stages of one step [seconds]."""

    rollout: float
    """Generation, judging included as far as sandboxes keep up."""
    learn: float
    broadcast: float
    step: float
    """The whole step: the sum, or with staleness the longest of generation and update."""

    @property
    def longest_stage(self) -> str:
        """The stage that takes most of the step."""
        stages = {"rollout": self.rollout, "learn": self.learn, "broadcast": self.broadcast}
        return max(stages, key=stages.__getitem__)

    def slots(self, samples: int, program_s: float) -> int:
        """Sandbox slots that judge programs as fast as they are generated."""
        return max(1, math.ceil(samples * program_s / max(self.rollout, 1e-9)))


def estimate(
    config: RunConfig, shape: ModelShape, load: StepLoad, gpu: Gpu, kv_cache: int, kv_sequence: int
) -> StepSeconds | None:
    """Seconds of a step on one kind of GPU; None where its speed is not known.

    Args:
        config: of the run, its placement resolved.
        shape: of the policy.
        load: of the step.
        gpu: under every rank and engine.
        kv_cache: of an engine on each of its GPUs [bytes].
        kv_sequence: KV cache of one whole sequence on each GPU [bytes].
    """
    if gpu.flops is None or gpu.bandwidth is None:
        return None
    width = 4 if config.resolved_rollout(gpu=True).dtype == "float32" else 2
    rollout = _rollout_s(config, shape, load, gpu, kv_cache, kv_sequence, width)
    # The samples of a prompt share it in the learner too, as far as they are in one optimizer step.
    steps = math.ceil(load.samples / config.learner.minibatch_size)
    copies = load.prompts * min(steps, config.rollout.samples_per_prompt)
    tokens = copies * load.prompt_tokens + load.samples * load.completion_tokens
    work = tokens * _operations(config, shape, load)
    ranks = config.placement.learner_ranks
    learn = work / (ranks * gpu.flops * ASSUMPTIONS["share of the peak FLOP/s in an update (MFU)"])
    broadcast = shape.parameters * width / ASSUMPTIONS["weight broadcast [bytes/s]"]
    together = max(rollout, learn) if config.loop.max_staleness else rollout + learn
    return StepSeconds(rollout, learn, broadcast, together + broadcast)


def _rollout_s(
    config: RunConfig,
    shape: ModelShape,
    load: StepLoad,
    gpu: Gpu,
    kv_cache: int,
    kv_sequence: int,
    width: int,
) -> float:
    assert gpu.flops is not None
    assert gpu.bandwidth is not None
    settings = config.rollout
    shards = settings.tensor_parallel
    per_token = kv_sequence / settings.max_model_len
    context = load.prompt_tokens + load.completion_tokens / 2
    samples = load.samples / settings.workers
    # A sequence holds cache for the tokens that it has, not for all that it may have.
    room = max(1, kv_cache // int(per_token * (load.prompt_tokens + load.completion_tokens)))
    batch = min(samples, settings.max_num_seqs, room)
    steps = max(load.longest, samples / batch * load.completion_tokens)
    # The batch drains: the longest completions end alone.
    batch = samples * load.completion_tokens / steps
    read = shape.parameters * width / shards + batch * context * per_token
    share = ASSUMPTIONS["share of the memory bandwidth in decoding"]
    prefill_flops = gpu.flops * ASSUMPTIONS["share of the peak FLOP/s in a prefill"]
    computed = 2 * shape.parameters * batch / shards
    decode = max(read / (gpu.bandwidth * share), computed / prefill_flops)
    decode += ASSUMPTIONS["scheduling and launch of a decoding step [s]"]
    prompts = load.prompts / settings.workers * load.prompt_tokens
    return steps * decode + 2 * shape.parameters * prompts / (shards * prefill_flops)


def _operations(config: RunConfig, shape: ModelShape, load: StepLoad) -> float:
    """Floating-point operations of an update for each token of the batch."""
    learner = config.learner
    length = load.prompt_tokens + load.completion_tokens
    attention = shape.layers * shape.hidden * length
    forward = 2 * (shape.parameters + attention)
    # Backward is twice a forward pass, and recomputes one where activations were not kept.
    passes = 3 + learner.gradient_checkpointing
    scored = 1.0
    penalised = learner.kl_coefficient and (learner.kl_in == "reward" or learner.lora.rank)
    refusable = learner.logprob_diff_alarm == "raise"
    if learner.advantage != "gae" and not (penalised or refusable):
        # The first optimizer step scores its own samples.
        scored -= 1 / math.ceil(load.samples / learner.minibatch_size)
    total = forward * (scored + passes * learner.epochs)
    if learner.kl_coefficient:
        total += forward
    if learner.advantage == "gae":
        critic = 2 * (shape.critic(learner.critic_layers) + attention)
        total += critic * (1 + passes * learner.epochs)
    return total
