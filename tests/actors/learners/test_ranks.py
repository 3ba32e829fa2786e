"""Two learner ranks under ZeRO-3 as Ray actors: one update, one broadcast, one rank lost."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from actors.errors import ActorLost, RunFailed
from actors.training.weight_sync import broadcast_targets
from learner.config import ZeroConfig
from tests.actors.rollout.fleet_parts import LEARNING, Parts, start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STOP = "\n"


@pytest.fixture(scope="module")
def parts(
    ray_cluster: str, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parts]:
    """Ranks and an engine of a model whose output head is its embedding.

    On CPUs vLLM keeps a packed copy of a tied head that a plain reload leaves at the old weights.
    """
    tied = tied_copy(tiny_model, tmp_path_factory.mktemp("tied"))
    sharded = LEARNING.model_copy(update={"zero": ZeroConfig(stage=3, export_bucket_mib=0.05)})
    started = start(tied, "ranks", workers=1, ranks=2, learning=sharded, stop=(STOP,))
    yield started
    started.stop()


def tied_copy(model: Path, folder: Path) -> Path:
    config = AutoConfig.from_pretrained(model, tie_word_embeddings=True)
    torch.manual_seed(5)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


async def step(parts: Parts) -> None:
    """Push, collect, update; the fleet must hold what both ranks hold together."""
    version = await parts.push()
    assert await parts.parity.verify(version) <= 1e-4
    requests = parts.requests(16, first=16 * version)
    completions = await parts.collect(requests)
    metrics, values = await parts.learner.update(
        parts.groups(requests, completions), record=[completions[0].sample_id]
    )
    assert pickle.loads(values).keys() == {completions[0].sample_id}
    assert metrics["rollout_trainer_logprob_diff"] <= 1e-4


def test_sharded_weights_reach_the_fleet_whole(parts: Parts) -> None:
    async def check() -> None:
        for _ in range(3):
            await step(parts)

    parts.run(check())


def test_a_completion_ends_with_its_stop_string(parts: Parts) -> None:
    from learner.tokenizer import completion_text, token_bytes

    table = token_bytes(parts.tokenizer)
    completions = parts.run(parts.collect(parts.requests(24, first=900, max_tokens=200)))
    texts = [completion_text(c.token_ids, table) for c in completions]
    assert any(STOP in text for text in texts)
    for completion, text in zip(completions, texts, strict=True):
        assert STOP not in text[: -len(parts.tokenizer.decode(completion.token_ids[-1:]))]


def test_all_ranks_finish_a_broadcast_to_a_dead_engine(parts: Parts) -> None:
    """Both in an open group and in the rendezvous of a new one."""

    async def check() -> None:
        [engine] = parts.fleet.engines
        os.kill(ray.get(engine.actor.pids.remote())[0], signal.SIGKILL)
        targets = broadcast_targets([engine], "gloo", 1, deadline_s=60)
        for version in (50, 51):
            with pytest.raises(RunFailed, match=f"weight broadcast of version {version}"):
                await parts.learner.broadcast(version, targets)
        parts.fleet.supervisor.replace(engine, engine.incarnation, "killed by the test")
        await step(parts)
        await step(parts)

    parts.run(check())


def test_all_ranks_are_restarted_when_one_dies(parts: Parts) -> None:
    async def check() -> None:
        await step(parts)
        victim: Any = parts.learner.workers[1]
        asked: ray.ObjectRef[int] = victim.__ray_call__.remote(lambda _: os.getpid())
        pid = ray.get(asked)
        requests = parts.requests(8, first=500)
        groups = parts.groups(requests, await parts.collect(requests))
        update = asyncio.create_task(parts.learner.update(groups))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ActorLost, match="learner: update"):
            await update
        await parts.learner.restart()
        await step(parts)

    parts.run(check())
