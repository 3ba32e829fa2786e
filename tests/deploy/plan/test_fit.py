"""What a run takes of each GPU, and how learner and engines divide one."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

from actors.cluster.connect import Cluster
from actors.cluster.devices import GpuMemory
from actors.config import PlacementConfig, RolloutConfig
from actors.weights.buffers import BUFFER_BYTES, ipc_buffer_bytes, nccl_buffer_bytes
from deploy.checks.memory import place
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.plan.fit import MemoryPlan
from deploy.plan.memory import kv_bytes, learner_parts, resident
from deploy.plan.shape import ModelShape
from learner.config import LearnerConfig, LoRAConfig, ZeroConfig

GIB = 1 << 30
QWEN = ModelShape(494_032_768, 136_134_656, 24, 14_912_384, 896, 4864, 128, 151_936, 2)
"""Qwen2.5-Coder-0.5B."""
LARGE = ModelShape(6_740_512_768, 132_120_576, 32, 202_383_360, 4096, 11008, 4096, 32_256, 32)
"""DeepSeek-Coder-6.7B."""


def config(**sections: dict[str, object]) -> RunConfig:
    return RunConfig.model_validate(sections)


def states(stage: Literal[2, 3], ranks: int, width: int = 2, lora: int = 0) -> int:
    learner = LearnerConfig(zero=ZeroConfig(stage=stage), lora=LoRAConfig(rank=lora))
    parts = learner_parts(LARGE, learner, ranks, width, 1024, "nccl")
    return parts["weights"] + parts["gradients"] + parts["optimizer"]


@pytest.mark.parametrize("ranks", [1, 8])
def test_model_states_are_those_of_deepspeeds_estimators(ranks: int) -> None:
    _, expected = estimate_zero2_model_states_mem_needs(LARGE.parameters, ranks, cpu_offload=False)
    assert states(2, ranks) == pytest.approx(expected, rel=1e-6)
    _, expected, _ = estimate_zero3_model_states_mem_needs(
        LARGE.parameters, LARGE.largest, ranks, cpu_offload=False, cpu_offload_params=False
    )
    # Its last term is a gathered layer in float32; the plan counts two blocks apart.
    assert states(3, ranks) == pytest.approx(expected - 4 * LARGE.largest, rel=1e-6)


def test_what_deepspeeds_estimators_do_not_know() -> None:
    """docs/hardware.md: why they are compared with and not called."""
    _, expected = estimate_zero2_model_states_mem_needs(LARGE.parameters, 4, cpu_offload=False)
    assert expected / states(2, 4, width=4) == pytest.approx(0.81, abs=0.01), "float32"
    _, expected = estimate_zero2_model_states_mem_needs(LARGE.parameters, 1, cpu_offload=False)
    assert expected / states(2, 1, lora=16) == pytest.approx(9.4, abs=0.1), "adapters"


@pytest.mark.parametrize(
    ("stage", "width", "bytes_per_parameter"), [(2, 2, 18.0), (3, 2, 18.74), (2, 4, 20.0)]
)
def test_model_states_are_those_that_deepspeed_was_seen_to_hold(
    stage: Literal[2, 3], width: int, bytes_per_parameter: float
) -> None:
    """docs/hardware.md: live tensors of a learner of SmolLM2-135M before its second step."""
    planned = states(stage, 1, width) / LARGE.parameters
    assert planned == pytest.approx(bytes_per_parameter, rel=0.12)


@pytest.mark.integration  # vLLM takes seconds to import
@pytest.mark.parametrize(("tensor_parallel", "width"), [(1, 2), (2, 2), (4, 2), (1, 4)])
def test_the_kv_cache_of_a_sequence_is_vllms(tensor_parallel: int, width: int) -> None:
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    heads = max(1, QWEN.kv_heads // tensor_parallel)
    dtype = torch.bfloat16 if width == 2 else torch.float32
    layer = FullAttentionSpec(block_size=16, num_kv_heads=heads, head_size=64, dtype=dtype)
    rollout = RolloutConfig(max_model_len=1536, tensor_parallel=tensor_parallel)
    blocks = rollout.max_model_len // layer.block_size
    assert kv_bytes(QWEN, rollout, width) == QWEN.layers * blocks * layer.page_size_bytes


def test_buffers_hold_the_largest_weight() -> None:
    embedding = 2 * QWEN.largest
    assert embedding > BUFFER_BYTES
    assert ipc_buffer_bytes(embedding) == embedding
    assert ipc_buffer_bytes(1) == BUFFER_BYTES
    assert nccl_buffer_bytes(embedding) == 2 * (BUFFER_BYTES + embedding)


@pytest.mark.parametrize(("gib", "hands_over"), [(16, True), (40, False), (80, False)])
def test_a_colocated_engine_takes_what_the_learner_leaves(gib: int, hands_over: bool) -> None:
    settings = config(
        placement={"colocate": True}, learner={"advantage": "rloo", "zero": {"stage": 2}}
    )
    if gib == 16:
        settings = config(
            placement={"colocate": True}, learner={"token_budget": 512, "logprob_chunk": 128}
        )
    plan = MemoryPlan.of(settings, QWEN)
    memory = gib * GIB
    assert plan.hands_over(memory) == hands_over
    share = plan.utilization(memory, not hands_over)
    beside = resident(plan.learner, not hands_over)
    assert share * memory + beside + plan.engine["broadcast"] <= memory
    assert plan.concurrency(memory) >= 1
    if not hands_over:
        plan.check(GpuMemory(memory, memory))


def test_a_share_that_is_given_is_taken() -> None:
    plan = MemoryPlan.of(config(rollout={"gpu_memory_utilization": 0.7}), QWEN)
    assert plan.utilization(80 * GIB) == 0.7


def test_an_engine_alone_leaves_room_for_the_buffers_outside_its_share() -> None:
    plan = MemoryPlan.of(config(placement={"colocate": False}), LARGE)
    assert plan.utilization(80 * GIB) == 0.85
    memory = 16 * GIB
    assert plan.utilization(memory) * memory + plan.engine["broadcast"] < memory


def test_a_learner_that_cannot_fit_is_refused_with_its_parts_and_the_remedies() -> None:
    plan = MemoryPlan.of(config(placement={"colocate": False}), LARGE)
    with pytest.raises(ConfigError, match=r"a learner rank does not fit its GPU of 80\.0 GiB") as e:
        plan.check(GpuMemory(80 * GIB, 80 * GIB))
    for part in ("optimizer 75.3", "critic's weights", "learner.zero.stage 3", "learner.lora.rank"):
        assert part in str(e.value)


def test_an_engine_that_cannot_fit_is_refused() -> None:
    placement = {"colocate": False, "learner_ranks": 8}
    plan = MemoryPlan.of(config(placement=placement, learner={"zero": {"stage": 3}}), LARGE)
    with pytest.raises(ConfigError, match=r"an engine does not fit.*rollout.tensor_parallel"):
        plan.check(GpuMemory(80 * GIB, 12 * GIB))


def test_adapters_have_little_state() -> None:
    learner = LearnerConfig(lora=LoRAConfig(rank=16), advantage="rloo")
    parts = learner_parts(LARGE, learner, 1, 2, 1024, "nccl")
    assert parts["optimizer"] < 0.02 * parts["weights"] * 6
    assert "reference" not in parts


def test_a_cluster_with_one_gpu_runs_colocated() -> None:
    shared = Cluster(True, {"GPU": 1.0}, PlacementConfig(colocate=True))
    placed = place(config(), shared)
    assert placed.placement.colocate
    assert placed.weights_backend(True) == "ipc"
    stale = config(loop={"max_staleness": 1}, learner={"importance_cap": 2.0})
    with pytest.raises(ConfigError, match=r"has 1 GPU.*loop.max_staleness must be 0"):
        place(stale, shared)
    apart = Cluster(True, {"GPU": 2.0}, PlacementConfig(colocate=False))
    assert place(stale, apart).weights_backend(True) == "nccl"


@pytest.mark.parametrize(
    ("compiled", "chunk", "measured"), [(False, 1024, 32.57), (True, 2048, 27.2)]
)
def test_the_learners_memory_is_what_an_h100_measured(
    compiled: bool, chunk: int, measured: float
) -> None:
    """docs/gpu.md: peak of PyTorch's allocator in GiB, without the context of CUDA."""
    learner = LearnerConfig.model_validate(
        {
            "advantage": "rloo", "kl_coefficient": 0.0, "token_budget": 16_384,
            "logprob_chunk": chunk, "compile": compiled, "zero": {"stage": 2},
        }
    )  # fmt: skip
    parts = learner_parts(QWEN, learner, 1, 2, 1024, "gloo")
    planned = (sum(parts.values()) - parts["allowance"]) / 2**30
    assert planned == pytest.approx(measured, rel=0.15)
