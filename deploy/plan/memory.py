"""Bytes that each role takes of one GPU, part by part.

Model states are those of DeepSpeed's own estimators (`estimate_zero2_model_states_mem_needs` and
its like for stage 3), and the KV cache is vLLM's, where those apply; tests compare them.
docs/hardware.md says why they are not called. Activations and the allowance are estimates.
"""

from __future__ import annotations

from actors.config import RolloutConfig
from actors.weights.buffers import ipc_buffer_bytes, nccl_buffer_bytes
from deploy.plan.shape import ModelShape
from learner.config import LearnerConfig

ALLOWANCE = 1 << 30
"""For the CUDA context, NCCL, CUDA graphs and fragmentation, in each process [bytes]. An
assumption: it was not measured."""

_COMPILED = 0.65
"""Share of the activations that a compiled block keeps: 27.2 GiB in all were measured for 0.5 B
parameters and rows of 16,384 tokens on an H100, where the plain blocks take 32.6 (docs/gpu.md)."""

_ENGINE_TOKENS = 8192
"""Tokens of vLLM's largest forward pass on a GPU with chunked prefill."""

_ACTIVE = frozenset({"activations", "logits", "collectives"})
"""Parts that exist only while the learner computes."""
_OPTIMIZER = frozenset({"optimizer", "critic's optimizer"})

Parts = dict[str, int]
"""Bytes by part."""


def resident(learner: Parts, optimizer: bool = True) -> int:
    """Bytes that a learner keeps while an engine has the GPU, with or without `optimizer` state."""
    left_out = _ACTIVE if optimizer else _ACTIVE | _OPTIMIZER
    return sum(size for part, size in learner.items() if part not in left_out)


def learner_parts(
    shape: ModelShape, config: LearnerConfig, ranks: int, width: int, longest: int, backend: str
) -> Parts:
    """What one learner rank takes.

    Args:
        shape: of the policy.
        config: of the learner.
        ranks: learner ranks, with a GPU each.
        width: bytes of a weight: 2 in bfloat16, 4 in float32.
        longest: tokens of the longest sequence.
        backend: transport of the weight broadcast: `nccl`, `ipc` or `gloo`.
    """
    parts = _states("", shape, shape.parameters, config, ranks, width)
    if config.advantage == "gae":
        critic = shape.critic(config.critic_layers)
        parts |= _states("critic's ", shape, critic, config, ranks, width)
    zero = config.zero
    if config.kl_coefficient and not config.lora.rank:
        parts["reference"] = shape.parameters * width // (ranks if zero.stage == 3 else 1)
        if zero.stage == 3 and zero.offload_parameters:
            parts["reference"] = 0
    if zero.stage == 3:
        gathered = max(shape.block, shape.largest) * width
        parts["gathered"] = 2 * gathered + int(zero.export_bucket_mib * 2**20)
    tokens = max(config.token_budget, longest)
    block = tokens * ((8 * shape.hidden + 2 * shape.kv_width + 4 * shape.intermediate) * width
                      + 16 * shape.hidden)  # fmt: skip
    kept = shape.layers * block
    if config.gradient_checkpointing:
        kept = shape.layers * tokens * shape.hidden * width + block
    parts["activations"] = int(_COMPILED * kept) if config.compile else kept
    parts["logits"] = 3 * min(config.logprob_chunk, tokens) * shape.vocabulary * 4
    if zero.stage:
        bucket = min(zero.bucket_elements, shape.parameters)
        parts["collectives"] = 2 * bucket * width
    parts["broadcast"] = _broadcast(shape, width, backend)
    parts["allowance"] = ALLOWANCE
    return parts


def _states(
    whose: str, shape: ModelShape, parameters: int, config: LearnerConfig, ranks: int, width: int
) -> Parts:
    """Weights, gradients and optimizer state of a model that is trained."""
    zero, lora = config.zero, config.lora.rank
    # An adapter of a linear layer has rank x (inputs + outputs) weights.
    trained = parameters
    if lora:
        widths = 9 * shape.hidden + 2 * shape.kv_width + 3 * shape.intermediate
        trained = shape.layers * lora * widths
    weights = parameters + (trained if lora else 0)
    of_weights = ranks if zero.stage == 3 else 1
    of_gradients = ranks if zero.stage >= 2 else 1
    of_states = ranks if zero.stage >= 1 else 1
    # In bfloat16: gradients in 2 bytes and their float32 sums in 4. In float32 they are one, and
    # stage 3 has those in bfloat16 of one bucket only, which `collectives` counts.
    gradients = (6 if width == 2 and zero.stage < 3 else 4) * trained
    # Float32 master weights and two moments; stage 0 steps on the weights themselves.
    states = (12 if zero.stage else 8) * trained
    return {
        f"{whose}weights": 0 if zero.offload_parameters else weights * width // of_weights,
        f"{whose}gradients": gradients // of_gradients,
        f"{whose}optimizer": 0 if zero.offload_optimizer else states // of_states,
    }


def stored_bytes(shape: ModelShape, config: LearnerConfig, width: int) -> int:
    """What DeepSpeed writes of weights and optimizer state into a checkpoint, of all ranks."""
    kept = config.zero.model_copy(update={"offload_optimizer": False, "offload_parameters": False})
    config = config.model_copy(update={"zero": kept})
    parts = _states("", shape, shape.parameters, config, 1, width)
    if config.advantage == "gae":
        critic = shape.critic(config.critic_layers)
        parts |= _states("critic's ", shape, critic, config, 1, width)
    return sum(size for part, size in parts.items() if not part.endswith("gradients"))


def engine_parts(shape: ModelShape, rollout: RolloutConfig, width: int, backend: str) -> Parts:
    """What an engine takes of each of its GPUs, with a KV cache for one sequence."""
    shards = rollout.tensor_parallel
    tokens = max(_ENGINE_TOKENS, rollout.max_model_len)
    forward = tokens * (4 * shape.hidden + 2 * shape.intermediate // shards) * width
    return {
        "weights": shape.parameters * width // shards,
        "KV cache of one sequence": kv_bytes(shape, rollout, width),
        "forward pass": forward + 2 * rollout.max_num_seqs * shape.vocabulary * 4,
        "broadcast": _broadcast(shape, width, backend),
        "allowance": ALLOWANCE,
    }


def kv_bytes(shape: ModelShape, rollout: RolloutConfig, width: int) -> int:
    """KV cache of one sequence of `rollout.max_model_len` tokens on each GPU of an engine."""
    whole = 2 * shape.layers * shape.kv_width * width * rollout.max_model_len
    return whole // min(rollout.tensor_parallel, shape.kv_heads)


def _broadcast(shape: ModelShape, width: int, backend: str) -> int:
    largest = shape.largest * width
    if backend == "nccl":
        return nccl_buffer_bytes(largest)
    return ipc_buffer_bytes(largest) if backend == "ipc" else 0
