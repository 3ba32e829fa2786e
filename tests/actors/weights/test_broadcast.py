"""Real vLLM engines and learner: what was broadcast is what the fleet samples from."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.cluster.ray_calls import gather
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.engine_env import CPU_ENV, ENGINE_ENV, engine_env
from actors.rollout.samples import Completion, Request
from actors.rollout.worker import RolloutWorker
from learner.models.source import ModelSource
from tests.actors.rollout.fleet_parts import Parts, by_prompt

pytestmark = pytest.mark.integration

BROADCASTS = 3


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
        completions: list[Any] = [output.outputs[0] for output in outputs]
        return [
            (
                list(completion.token_ids),
                [
                    position[token].logprob
                    for position, token in zip(
                        completion.logprobs, completion.token_ids, strict=True
                    )
                ],
            )
            for completion in completions
        ]


def test_after_each_broadcast_every_engine_equals_a_freshly_loaded_one(
    parts: Parts, tmp_path: Path
) -> None:
    env = {**ENGINE_ENV, **CPU_ENV, "OMP_NUM_THREADS": "1"}
    fresh: Any = FreshEngine.options(runtime_env={"env_vars": env}).remote()
    prompts = [list(prompt) for prompt in parts.prompts]

    async def check() -> None:
        for _ in range(BROADCASTS):
            version = await parts.push()
            assert await parts.parity.verify(version) <= 1e-4
            folder = tmp_path / f"v{version}"
            await parts.learner.save_pretrained(folder)
            expected = await gather("fresh", [fresh.greedy.remote(str(folder), prompts)], 120)
            for engine in parts.fleet.engines:
                completions = await greedy(engine.actor, parts, version)
                assert [ids for ids, _ in completions] == [ids for ids, _ in expected[0]]
                for (_, logprobs), (_, fresh_logprobs) in zip(
                    completions, expected[0], strict=True
                ):
                    assert logprobs == pytest.approx(fresh_logprobs, abs=1e-5)
            requests = parts.requests(8, first=8 * version)
            completions = await parts.collect(requests)
            await parts.learner.update(parts.groups(requests, completions))
            with pytest.raises(RunFailed, match=f"does not hold version {version}"):
                await parts.parity.verify(version)

    try:
        parts.run(check())
    finally:
        ray.kill(fresh)


async def greedy(actor: Any, parts: Parts, version: int) -> list[Any]:
    requests = [Request(i, prompt, i, 16, 0.0) for i, prompt in enumerate(parts.prompts)]
    stream = actor.generate.options(num_returns="streaming").remote(requests, version, "test")
    completions = [completion async for reference in stream for completion in await reference]
    assert {completion.weight_version for completion in completions} == {version}
    completions.sort(key=lambda completion: completion.sample_id)
    return [(list(c.token_ids), list(c.logprobs)) for c in completions]


def test_learner_and_engines_compute_the_same_logprobs_for_the_same_weights(parts: Parts) -> None:
    async def check() -> None:
        version = await parts.push()
        requests = parts.requests(6)
        completions = await parts.collect(requests)
        assert {c.weight_version for c in completions} == {version}
        metrics, _ = await parts.learner.update(parts.groups(requests, completions))
        assert metrics["rollout_trainer_logprob_diff"] <= 1e-4

    parts.run(check())


def test_equal_seeds_generate_equal_completions(parts: Parts) -> None:
    requests = parts.requests(12)
    first, again = parts.run(parts.collect(requests)), parts.run(parts.collect(requests))
    assert [c.sample_id for c in first] == list(range(12))
    assert [c.token_ids for c in first] == [c.token_ids for c in again]
    assert len({c.token_ids for c in first}) > 1, "different seeds must sample differently"
    for completion in first:
        assert len(completion.logprobs) == len(completion.token_ids) <= 24
        assert completion.finish_reason in ("stop", "length")


def test_completions_under_way_at_a_broadcast_continue_with_the_new_weights(
    parts: Parts,
) -> None:
    async def check() -> None:
        old, restarts = parts.fleet.version, parts.fleet.restarts
        requests = parts.requests(32, first=3000, max_tokens=300)
        completions: list[Completion] = []
        updated = 0
        async for completion in parts.dispatcher.generate(by_prompt(requests)):
            if not completions:
                await parts.push()
                updated = len(parts.fleet.supervisor.ready())
            completions.append(completion)
        assert updated == len(parts.fleet.engines)
        assert sorted(c.sample_id for c in completions) == [r.sample_id for r in requests]
        versions = {c.weight_version for c in completions}
        assert versions == {old}, "a completion is as old as its first token"
        assert all(len(c.token_ids) == len(c.logprobs) > 0 for c in completions)
        assert parts.fleet.restarts == restarts

    parts.run(check())


def test_an_unloadable_model_is_named_in_the_error(
    parts: Parts, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["NoSuch"]}')
    actor = ray.remote(RolloutWorker).options(
        num_cpus=1,
        runtime_env={"env_vars": engine_env(RolloutConfig(), False, False)},
    )
    worker: Any = actor.remote(RolloutConfig(), "rollout-9")

    async def check() -> None:
        call = worker.start.remote(ModelSource(str(tmp_path)), "gloo", False, False)
        with pytest.raises(RunFailed, match=r"rollout-9: vLLM could not load .*" + tmp_path.name):
            await gather("start", [call], 120)

    try:
        parts.run(check())
    finally:
        ray.kill(worker)


def test_a_sleeping_engine_generates_nothing_until_the_next_weights(parts: Parts) -> None:
    supervisor = parts.fleet.supervisor

    async def check() -> None:
        supervisor.colocated = True
        await parts.fleet.sleep()
        work = asyncio.create_task(parts.collect(parts.requests(6)))
        done, _ = await asyncio.wait([work], timeout=2)
        assert not done
        await parts.push()
        assert len(await asyncio.wait_for(work, 60)) == 6
        assert not any(engine.asleep for engine in parts.fleet.engines)

    try:
        parts.run(check())
    finally:
        supervisor.colocated = False
