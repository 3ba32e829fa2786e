"""Real engines that are killed or hang: every request still gets exactly one completion."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ray

from actors.cluster.ray_calls import reborn
from actors.errors import ActorLost, RunFailed
from actors.rollout.engine_handle import Ended, Member
from actors.rollout.samples import Completion
from tests.actors.rollout.fleet_parts import Parts, group_of, start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def parts(ray_cluster: None, tiny_model: Path) -> Iterator[Parts]:
    started = start(tiny_model, workers=2, heartbeat_s=0.5, hang_timeout_s=15)
    started.run(started.sync.push(1))
    yield started
    started.stop()


def pids(member: Member) -> list[int]:
    """The actor's process and its engine's."""
    return ray.get(member.actor.pids.remote(), timeout=30)


async def until(condition: Callable[[], bool], deadline_s: float = 120) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.1)


async def strike(
    parts: Parts, hit: Callable[[], None], first: int
) -> tuple[list[Completion], list[Completion]]:
    """Generate, call `hit` after the first completion; returns what came and what was expected."""
    requests = parts.requests(48, first=first, max_tokens=200)
    expected = await parts.collect(requests)
    completions: list[Completion] = []
    async with parts.fleet.watched():
        async for completion in parts.fleet.generate(requests):
            if not completions:
                hit()
            completions.append(completion)
        await until(lambda: len(parts.fleet.ready()) == 2)
    return sorted(completions, key=lambda c: c.sample_id), expected


def check_same(completions: list[Completion], expected: list[Completion]) -> None:
    assert [c.sample_id for c in completions] == [c.sample_id for c in expected]
    assert [c.token_ids for c in completions] == [c.token_ids for c in expected]


@pytest.mark.parametrize("victim", ["actor", "engine"])
def test_a_killed_worker_costs_no_sample_and_comes_back_current(parts: Parts, victim: str) -> None:
    member = parts.fleet.members[0]
    actor, engine = pids(member)[0], pids(member)[-1]
    restarts = parts.fleet.restarts

    async def check() -> None:
        target = actor if victim == "actor" else engine
        completions, expected = await strike(parts, lambda: os.kill(target, signal.SIGKILL), 1000)
        check_same(completions, expected)
        assert parts.fleet.restarts == restarts + 1
        await until(lambda: not psutil.pid_exists(engine), 20)
        requests = parts.requests(8)
        completions = await parts.collect(requests)
        await parts.learner.update(parts.groups(requests, completions))
        await parts.sync.push(parts.fleet.version + 1)
        assert await parts.parity.verify(parts.fleet.version) <= 1e-4
        assert {m.version for m in parts.fleet.members} == {parts.fleet.version}

    parts.run(check())


def test_a_hung_engine_is_replaced(parts: Parts) -> None:
    member = parts.fleet.members[1]
    engine = pids(member)[-1]
    restarts = parts.fleet.restarts

    async def check() -> None:
        completions, expected = await strike(parts, lambda: os.kill(engine, signal.SIGSTOP), 2000)
        check_same(completions, expected)
        assert parts.fleet.restarts == restarts + 1
        await until(lambda: not psutil.pid_exists(engine), 20)

    parts.run(check())


def test_an_engine_that_dies_in_a_broadcast_comes_back_with_the_new_weights(parts: Parts) -> None:
    member = parts.fleet.members[0]

    async def check() -> None:
        version = parts.fleet.version + 1
        push = asyncio.create_task(parts.sync.push(version))
        os.kill(pids(member)[0], signal.SIGKILL)
        await push
        await until(lambda: len(parts.fleet.ready()) == 2)
        assert await parts.parity.verify(version) <= 1e-4

    parts.run(check())


def test_the_death_of_an_engine_ends_the_rendezvous_at_once(parts: Parts) -> None:
    async def check() -> None:
        dead, other = parts.fleet.members
        group = group_of(parts.fleet.members, deadline_s=150)
        os.kill(pids(dead)[0], signal.SIGKILL)
        async with asyncio.timeout(60):
            with pytest.raises(RunFailed, match=r"weight broadcast of version 77"):
                await parts.learner.broadcast(77, group)
        for member in (dead, other):
            parts.fleet.fail(member, member.incarnation, "killed by the test")
        await until(lambda: len(parts.fleet.ready()) == 2)

    parts.run(check())


def test_what_goes_wrong_while_an_engine_comes_back_is_heard(parts: Parts) -> None:
    bring_up = parts.fleet.bring_up

    async def broken(member: Member) -> None:
        raise ZeroDivisionError(f"while {member.name} came back")

    async def check() -> None:
        parts.fleet.bring_up = broken
        for member in parts.fleet.members:
            parts.fleet.fail(member, member.incarnation, "killed by the test")
        with pytest.raises(ZeroDivisionError, match="came back"):
            await parts.collect(parts.requests(6))
        await until(lambda: len(parts.fleet.loaded()) == 2)
        parts.fleet.bring_up, parts.fleet._broken = bring_up, None
        await parts.sync.push(parts.fleet.version + 1)
        assert len(await parts.collect(parts.requests(6))) == 6

    parts.run(check())


def test_a_request_that_outlives_too_many_engines_ends_the_run(parts: Parts) -> None:
    request = parts.requests(1)[0]
    attempts: Counter[int] = Counter()
    ended = Ended((request,), RuntimeError("engine gone"))
    for _ in range(parts.fleet.config.retries):
        parts.fleet._count_attempts(ended, attempts)
    with pytest.raises(RunFailed, match=r"sample 0 .* outlived 4 engines .*engine gone"):
        parts.fleet._count_attempts(ended, attempts)


def test_engines_that_come_back_to_a_dead_learner_say_so(parts: Parts) -> None:
    async def check() -> None:
        [learner] = parts.learner.workers
        ray.kill(learner, no_restart=False)
        await reborn("learner", learner.address.remote, 120)
        with pytest.raises(ActorLost, match=r"learner-0 died and holds no weights"):
            await parts.learner.save_checkpoint(Path("never-written"))
        for member in parts.fleet.members:
            parts.fleet.fail(member, member.incarnation, "killed by the test")
        with pytest.raises(ActorLost, match=r"learner-0 died and holds no weights"):
            await parts.collect(parts.requests(6))
        await parts.learner.restart()
        await parts.sync.push(parts.fleet.version + 1)
        assert len(await parts.collect(parts.requests(6))) == 6

    parts.run(check())
