"""Real vLLM engines and learner: what was broadcast is what the fleet samples from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from actors.config import PlacementConfig, RolloutConfig
from actors.errors import RunFailed
from actors.learner import LearnerGroup
from actors.probe import WeightProbe
from actors.rollout import Completion, Request
from actors.rollout_fleet import RolloutFleet
from learner.config import LearnerConfig, OptimizerConfig
from learner.trajectory import Trajectory

pytestmark = pytest.mark.integration

DEADLINE_S = 180.0
LEARNING = LearnerConfig(
    policy=OptimizerConfig(lr=1e-2), critic=OptimizerConfig(lr=1e-3), minibatch_size=8
)


@dataclass
class Parts:
    learner: LearnerGroup
    fleet: RolloutFleet
    probe: WeightProbe
    prompt: tuple[int, ...]


def start(model: Path, workers: int) -> Parts:
    rollout = RolloutConfig(workers=workers, max_new_tokens=24, max_num_seqs=32, kv_cache_mib=32)
    learner = LearnerGroup(LEARNING, PlacementConfig(), gpu=False, deadline_s=DEADLINE_S)
    fleet = RolloutFleet(rollout, gpu=False)

    async def load() -> None:
        await asyncio.gather(fleet.start(model, "gloo"), learner.start(model, 1.0))
        await learner.connect("gloo", fleet.workers, 1)

    asyncio.run(load())
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [f"# each: cap {k}; flip negative\ndef f(a):\n    t = {k}" for k in range(2, 8)]
    sequences = [tokenizer.encode(text) for text in texts]
    probe = WeightProbe(learner, fleet, sequences, tolerance=1e-4, deadline_s=DEADLINE_S)
    return Parts(learner, fleet, probe, tuple(sequences[0]))


def stop(parts: Parts) -> None:
    parts.fleet.stop()
    for actor in (*parts.fleet.workers, *parts.learner.workers):
        ray.kill(actor)


@pytest.fixture(scope="module", params=["untied", "tied"])
def parts(
    request: pytest.FixtureRequest,
    ray_cluster: None,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Parts]:
    """Two engines of a model with its own head, then one of a model whose head is its embedding.

    On CPUs vLLM keeps a packed copy of a tied head that a plain reload leaves at the old weights.
    """
    tied = request.param == "tied"
    model = tied_copy(tiny_model, tmp_path_factory.mktemp("tied")) if tied else tiny_model
    started = start(model, workers=1 if tied else 2)
    yield started
    stop(started)


def tied_copy(model: Path, folder: Path) -> Path:
    config = AutoConfig.from_pretrained(model, tie_word_embeddings=True)
    torch.manual_seed(5)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


async def collect(parts: Parts, samples: int = 6) -> list[Completion]:
    requests = [Request(i, parts.prompt, 100 + i, 24, 1.0) for i in range(samples)]
    completions = [completion async for completion in parts.fleet.generate(requests)]
    return sorted(completions, key=lambda c: c.sample_id)


def as_trajectories(parts: Parts, completions: list[Completion]) -> list[Trajectory]:
    return [
        Trajectory(
            sample_id=f"{c.sample_id:04d}",
            problem_id="p",
            stage=0,
            prompt_ids=parts.prompt,
            response_ids=c.token_ids,
            rollout_logprobs=c.logprobs,
            policy_mask=(True,) * len(c.token_ids),
            reward=1.0 if c.sample_id % 2 else -1.0,
            weight_version=c.weight_version,
            outcome="passed",
        )
        for c in completions
    ]


def test_every_broadcast_makes_the_fleet_agree_with_the_learner(parts: Parts) -> None:
    asyncio.run(check_broadcasts(parts))


async def check_broadcasts(parts: Parts) -> None:
    await parts.learner.broadcast(1)
    assert await parts.probe.verify(1) <= 1e-4
    for version in (2, 3, 4):
        completions = await collect(parts)
        assert {c.weight_version for c in completions} == {version - 1}
        metrics = await parts.learner.update(as_trajectories(parts, completions))
        assert metrics["rollout_trainer_logprob_diff"] <= 1e-4
        with pytest.raises(RunFailed, match=f"does not hold version {version}"):
            await parts.probe.verify(version)  # the learner has moved, the fleet has not
        await parts.learner.broadcast(version)
        assert await parts.probe.verify(version) <= 1e-4


def test_each_completion_streams_and_repeats_by_its_seed(parts: Parts) -> None:
    first, again = asyncio.run(collect(parts)), asyncio.run(collect(parts))
    assert [c.sample_id for c in first] == list(range(6))
    assert [c.token_ids for c in first] == [c.token_ids for c in again]
    assert len({c.token_ids for c in first}) > 1, "different seeds must sample differently"
    for completion in first:
        assert len(completion.logprobs) == len(completion.token_ids) <= 24
        assert completion.finish_reason in ("stop", "length")
