"""Real vLLM engines and learner: what was broadcast is what the fleet samples from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from actors.cluster.ray_calls import answers
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.samples import Completion
from actors.rollout.worker import CPU_ENV, ENGINE_ENV, RolloutWorker, engine_env
from tests.actors.rollout.fleet_parts import Parts, start

pytestmark = pytest.mark.integration

BROADCASTS = 20


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
    started.stop()


def tied_copy(model: Path, folder: Path) -> Path:
    config = AutoConfig.from_pretrained(model, tie_word_embeddings=True)
    torch.manual_seed(5)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


@ray.remote(num_cpus=0)
class FreshEngine:
    """Loads an exported model into a new engine each time it is asked."""

    def greedy(self, folder: str, prompts: list[list[int]]) -> list[Any]:
        """Greedy ids and their log-probabilities, by prompt."""
        from vllm import LLM, SamplingParams
        from vllm.inputs import TokensPrompt

        engine = LLM(
            folder,
            dtype="float32",
            max_model_len=512,
            enforce_eager=True,
            kv_cache_memory_bytes=32 << 20,
            block_size=32,
            logprobs_mode="processed_logprobs",
        )
        params = SamplingParams(temperature=0, max_tokens=16, logprobs=0, detokenize=False)
        outputs = engine.generate([TokensPrompt(prompt_token_ids=p) for p in prompts], params)
        found: list[Any] = [output.outputs[0] for output in outputs]
        return [
            (
                list(each.token_ids),
                [p[t].logprob for p, t in zip(each.logprobs, each.token_ids, strict=True)],
            )
            for each in found
        ]


def test_after_each_broadcast_every_worker_equals_a_fresh_engine(
    parts: Parts, tmp_path: Path
) -> None:
    env = {**ENGINE_ENV, **CPU_ENV, "OMP_NUM_THREADS": "1"}
    fresh: Any = FreshEngine.options(runtime_env={"env_vars": env}).remote()
    prompts = [list(prompt) for prompt in parts.prompts]

    async def check() -> None:
        for version in range(1, BROADCASTS + 1):
            await parts.sync.push(version)
            folder = tmp_path / f"v{version}"
            await parts.learner.save_pretrained(folder)
            expected = ray.get(fresh.greedy.remote(str(folder), prompts), timeout=120)
            for member in parts.fleet.members:
                got = await greedy(member.actor, parts, version)
                assert [ids for ids, _ in got] == [ids for ids, _ in expected]
                for (_, mine), (_, theirs) in zip(got, expected, strict=True):
                    assert mine == pytest.approx(theirs, abs=1e-5)
            requests = parts.requests(8, first=8 * version)
            completions = await parts.collect(requests)
            await parts.learner.update(parts.groups(requests, completions))

    parts.run(check())
    ray.kill(fresh)


async def greedy(actor: Any, parts: Parts, version: int) -> list[Any]:
    from actors.rollout.samples import Request

    requests = [Request(i, prompt, i, 16, 0.0) for i, prompt in enumerate(parts.prompts)]
    stream = actor.generate.options(num_returns="streaming").remote(requests, version)
    found = [completion async for reference in stream for completion in await reference]
    assert {completion.weight_version for completion in found} == {version}
    found.sort(key=lambda completion: completion.sample_id)
    return [(list(c.token_ids), list(c.logprobs)) for c in found]


def test_the_probe_tells_when_the_learner_has_moved_and_the_fleet_has_not(parts: Parts) -> None:
    async def check() -> None:
        version = parts.fleet.version
        for _ in range(2):
            version += 1
            await parts.sync.push(version)
            assert await parts.parity.verify(version) <= 1e-4
            requests = parts.requests(6)
            completions = await parts.collect(requests)
            assert {c.weight_version for c in completions} == {version}
            groups = parts.groups(requests, completions)
            metrics = await parts.learner.update(groups)
            assert metrics["rollout_trainer_logprob_diff"] <= 1e-4
            with pytest.raises(RunFailed, match=f"does not hold version {version}"):
                await parts.parity.verify(version)

    parts.run(check())


def test_each_completion_streams_and_repeats_by_its_seed(parts: Parts) -> None:
    requests = parts.requests(12)
    first, again = parts.run(parts.collect(requests)), parts.run(parts.collect(requests))
    assert [c.sample_id for c in first] == list(range(12))
    assert [c.token_ids for c in first] == [c.token_ids for c in again]
    assert len({c.token_ids for c in first}) > 1, "different seeds must sample differently"
    for completion in first:
        assert len(completion.logprobs) == len(completion.token_ids) <= 24
        assert completion.finish_reason in ("stop", "length")


def test_completions_under_way_keep_their_tokens_and_go_on_with_the_new_weights(
    parts: Parts,
) -> None:
    async def check() -> None:
        old = parts.fleet.version
        requests = parts.requests(32, first=3000, max_tokens=300)
        found: list[Completion] = []
        pushed = 0
        async for completion in parts.fleet.generate(requests):
            if not found:
                await parts.sync.push(old + 1)
                pushed = len(parts.fleet.ready())
            found.append(completion)
        assert pushed == len(parts.fleet.members)
        assert sorted(c.sample_id for c in found) == [r.sample_id for r in requests]
        assert {c.weight_version for c in found} == {old}, "each counts as old as its first token"
        assert all(len(c.token_ids) == len(c.logprobs) > 0 for c in found)
        assert parts.fleet.restarts == 0

    parts.run(check())


def test_a_model_that_cannot_be_loaded_is_named(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["NoSuch"]}')
    actor = ray.remote(RolloutWorker).options(
        num_cpus=1,
        runtime_env={"env_vars": engine_env(RolloutConfig(), False, False)},
    )
    worker = actor.remote(RolloutConfig(), "rollout-9")

    async def check() -> None:
        call = worker.start.remote(str(tmp_path), "gloo", False, False)
        with pytest.raises(RunFailed, match=r"rollout-9: vLLM could not load .*" + tmp_path.name):
            await answers("start", [call], 120)

    try:
        parts.run(check())
    finally:
        ray.kill(worker)


def test_a_resting_engine_writes_nothing_until_the_next_weights(parts: Parts) -> None:
    async def check() -> None:
        parts.fleet.colocated = True
        await parts.fleet.rest()
        work = asyncio.create_task(parts.collect(parts.requests(6)))
        done, _ = await asyncio.wait([work], timeout=2)
        assert not done
        await parts.sync.push(parts.fleet.version + 1)
        assert len(await asyncio.wait_for(work, 60)) == 6
        assert not any(member.resting for member in parts.fleet.members)

    try:
        parts.run(check())
    finally:
        parts.fleet.colocated = False
