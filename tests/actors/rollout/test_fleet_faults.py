"""Real engines that are killed: every request still gets exactly one completion."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest
import ray

from actors.errors import RunFailed
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.samples import Completion
from actors.training.weight_sync import broadcast_targets
from tests.actors.rollout.clock_fleet import until
from tests.actors.rollout.fleet_parts import Parts, by_prompt

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def pids(engine: EngineHandle) -> list[int]:
    """The actor's process and its engine's."""
    return ray.get(engine.actor.pids.remote(), timeout=30)


async def generate_and_hit(
    parts: Parts, hit: Callable[[], None], first: int
) -> tuple[list[Completion], list[Completion]]:
    """Generate, call `hit` after the first completion; returns what came and what was expected."""
    requests = parts.requests(48, first=first, max_tokens=200)
    expected = await parts.collect(requests)
    completions: list[Completion] = []
    async with parts.fleet.heartbeat():
        async for completion in parts.dispatcher.generate(by_prompt(requests)):
            if not completions:
                hit()
            completions.append(completion)
        await until(lambda: len(parts.fleet.supervisor.ready()) == 2)
    return sorted(completions, key=lambda c: c.sample_id), expected


@pytest.mark.parametrize("fault", ["an actor is killed", "an engine is killed, another hangs"])
def test_engines_lost_while_generating_cost_no_sample_and_return_with_current_weights(
    parts: Parts, fault: str
) -> None:
    (actor, engine), *other = [(p[0], p[-1]) for p in map(pids, parts.fleet.engines)]
    if fault == "an actor is killed":
        strikes = [(actor, signal.SIGKILL)]
        gone = [engine]
    else:  # at the same time, so that both restart together and no engine is left meanwhile
        strikes = [(engine, signal.SIGKILL), (other[0][1], signal.SIGSTOP)]
        gone = [engine, other[0][1]]
    restarts = parts.fleet.restarts

    def hit() -> None:
        for pid, number in strikes:
            os.kill(pid, number)

    async def check() -> None:
        completions, expected = await generate_and_hit(parts, hit, 1000)
        assert [c.sample_id for c in completions] == [c.sample_id for c in expected]
        assert [c.token_ids for c in completions] == [c.token_ids for c in expected]
        assert parts.fleet.restarts == restarts + len(strikes)
        await until(lambda: not any(map(psutil.pid_exists, gone)), 20)
        requests = parts.requests(8)
        completions = await parts.collect(requests)
        await parts.learner.update(parts.groups(requests, completions))
        version = await parts.push()
        assert await parts.parity.verify(version) <= 1e-4
        assert {engine.version for engine in parts.fleet.engines} == {version}

    parts.run(check())


def test_an_engine_that_dies_in_a_broadcast_returns_with_the_new_weights(parts: Parts) -> None:
    victim = parts.fleet.engines[0]

    async def check() -> None:
        push = asyncio.create_task(parts.push())
        os.kill(pids(victim)[0], signal.SIGKILL)
        version = await push
        await until(lambda: len(parts.fleet.supervisor.ready()) == 2)
        assert await parts.parity.verify(version) <= 1e-4

    parts.run(check())


def test_the_death_of_an_engine_ends_the_rendezvous_at_once(parts: Parts) -> None:
    async def check() -> None:
        engines = parts.fleet.engines
        targets = broadcast_targets(engines, "gloo", 1, deadline_s=150)
        os.kill(pids(engines[0])[0], signal.SIGKILL)
        async with asyncio.timeout(60):
            with pytest.raises(RunFailed, match=r"weight broadcast of version 77"):
                await parts.learner.broadcast(77, targets)
        for engine in engines:
            parts.fleet.supervisor.replace(engine, engine.incarnation, "killed by the test")
        await until(lambda: len(parts.fleet.supervisor.ready()) == 2)

    parts.run(check())


def test_a_request_that_vllm_refuses_costs_no_engine_and_no_other_sample(parts: Parts) -> None:
    context = 512
    good = parts.requests(4, first=9000, max_tokens=8)
    refused = [
        replace(good[0], sample_id=9100, prompt_ids=()),
        replace(good[0], sample_id=9101, prompt_ids=(5,) * (context + 40)),
        replace(good[0], sample_id=9102, prompt_ids=(10**6,)),
    ]
    restarts = parts.fleet.restarts
    completions = {c.sample_id: c for c in parts.run(parts.collect([*good, *refused]))}
    for request in refused:
        completion = completions[request.sample_id]
        assert (completion.finish_reason, completion.token_ids) == ("refused", ())
        assert completion.refusal
    assert all(completions[request.sample_id].token_ids for request in good)
    assert parts.fleet.restarts == restarts
