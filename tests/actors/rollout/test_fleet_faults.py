"""Real engines that are killed: every request still gets exactly one completion."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

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
        async for completion in parts.fleet.generate(by_prompt(requests)):
            if not completions:
                hit()
            completions.append(completion)
        await until(lambda: len(parts.fleet.supervisor.ready()) == 2)
    return sorted(completions, key=lambda c: c.sample_id), expected


@pytest.mark.parametrize(
    ("process", "signal_"),
    [("actor", signal.SIGKILL), ("engine", signal.SIGKILL), ("engine", signal.SIGSTOP)],
    ids=["actor is killed", "engine is killed", "engine hangs"],
)
def test_an_engine_lost_while_generating_costs_no_sample_and_returns_with_current_weights(
    parts: Parts, process: str, signal_: signal.Signals
) -> None:
    victim = parts.fleet.engines[0]
    actor, engine = pids(victim)[0], pids(victim)[-1]
    restarts = parts.fleet.restarts

    async def check() -> None:
        target = actor if process == "actor" else engine
        completions, expected = await generate_and_hit(
            parts, lambda: os.kill(target, signal_), 1000
        )
        assert [c.sample_id for c in completions] == [c.sample_id for c in expected]
        assert [c.token_ids for c in completions] == [c.token_ids for c in expected]
        assert parts.fleet.restarts == restarts + 1
        await until(lambda: not psutil.pid_exists(engine), 20)
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
