"""The shipped profiles for GPUs: parsed, planned, and placed on simulated nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from actors.cluster.devices import GpuMemory
from actors.cluster.placement import check_placement, roles
from actors.errors import RunFailed
from deploy.config import RunConfig, load_config
from deploy.plan.fit import MemoryPlan
from deploy.plan.shape import ModelShape, shape_of
from tests.deploy.model_configs import MODELS

PROFILES = Path(__file__).resolve().parents[3] / "deploy" / "profiles"
GIB = 1 << 30
CASES = [("gpu-1", 1, 24), ("gpu-8", 1, 80), ("gpu-4x8", 4, 80), ("paper", 1, 80)]
"""Profile, nodes, and the GPU that it is made for [GiB]."""


def profile(name: str) -> RunConfig:
    return load_config(PROFILES / f"{name}.yaml", [])


def shape(config: RunConfig) -> ModelShape:
    assert config.model.path is not None
    with torch.device("meta"):
        return shape_of(AutoModelForCausalLM.from_config(MODELS[config.model.path]))


def gpus(config: RunConfig) -> int:
    bundles = roles(config.placement, config.rollout, config.pool, gpu=True)
    return int(sum(count * bundle.get("GPU", 0) for _, count, bundle in bundles))


@pytest.mark.parametrize(("name", "nodes", "gib"), CASES)
def test_a_profile_fits_the_gpus_that_it_is_made_for(name: str, nodes: int, gib: int) -> None:
    plan = MemoryPlan.of(profile(name), shape(profile(name)))
    # What a driver reports is some two per cent below the card's name.
    memory = int(0.97 * gib * GIB)
    plan.check(GpuMemory(memory, memory))
    assert plan.concurrency(memory) >= 16, "engines without a batch waste their GPU"


@pytest.mark.parametrize(("name", "nodes", "gib"), CASES)
def test_a_profile_takes_every_gpu_and_no_more(name: str, nodes: int, gib: int) -> None:
    config = profile(name)
    assert gpus(config) == nodes * (1 if name == "gpu-1" else 8)
    cluster = {"CPU": 64.0 * nodes, "GPU": float(gpus(config)), "sandbox": float(nodes * 8)}
    arguments = (config.placement, config.rollout, config.pool)
    check_placement(cluster, *arguments, gpu=True)
    with pytest.raises(RunFailed, match=r"GPU: .* required"):
        check_placement({**cluster, "GPU": cluster["GPU"] - 1}, *arguments, gpu=True)
    # Each bundle lies on one node: first fit, in the order in which they are reserved.
    free = [8] * nodes
    for _, count, bundle in roles(*arguments, gpu=True):
        for _ in range(count):
            wanted = int(bundle.get("GPU", 0))
            node = next(i for i, left in enumerate(free) if left >= wanted)
            free[node] -= wanted


def test_the_papers_profile_has_the_papers_hyperparameters() -> None:
    config = profile("paper")
    learner = config.learner
    assert (learner.policy.lr, learner.critic.lr, learner.kl_coefficient) == (5e-7, 1.5e-6, 0.05)
    assert (learner.mask, learner.advantage, config.curriculum.mode) == ("fgo", "gae", "cccs")
    rollout = config.rollout
    assert (rollout.samples_per_prompt, rollout.temperature, rollout.max_new_tokens) == (
        16, 0.8, 1024,
    )  # fmt: skip
    reward = config.reward
    assert (reward.passed, reward.failed, reward.runtime_error, reward.compile_error) == (
        1.0, -0.3, -0.6, -1.0,
    )  # fmt: skip
    assert config.loop.max_staleness == 0


def test_several_nodes_learn_from_samples_of_one_update_ago() -> None:
    config = profile("gpu-4x8")
    assert config.loop.max_staleness == 1
    assert config.learner.importance_cap
