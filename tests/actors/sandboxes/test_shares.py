"""Pools of several processes over the same workers: shares of the slots, losses counted once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from ray.exceptions import RayActorError

from actors.config import SandboxPoolConfig
from actors.sandboxes.pool import SandboxPool
from actors.sandboxes.worker import Isolation
from curriculum.problem import Test
from sandbox import Job, Outcome, Verdict
from tests.actors.rollout.clock_fleet import until


class Mortal:
    """A worker in this process; after `die` every call fails until it is started again."""

    def __init__(self) -> None:
        self.life, self.dead = 0, False
        self.run = SimpleNamespace(remote=self._run)
        self.start = SimpleNamespace(remote=self._start)
        self.cancel = SimpleNamespace(remote=lambda _ticket: None)

    def die(self) -> None:
        self.life, self.dead = self.life + 1, True

    async def _run(self, given: Job, _ticket: Any, _backend: str | None) -> Verdict:
        if self.dead:
            raise RayActorError
        return Verdict(given.id, Outcome.passed, tests=())

    async def _start(self, _backend: str | None) -> Isolation:
        self.dead = False
        return Isolation("process", "", f"life {self.life}")


JOB = Job(id="j", source="x = 1", fn_name="f", tests=(Test(input=[1], output=1),))


def test_every_slot_has_one_owner_and_every_owner_a_slot() -> None:
    workers: list[Any] = [None] * 2
    pool = SandboxPool(workers, SandboxPoolConfig(workers=2, slots_per_worker=4))
    assert [pool.part("c", i, 3).slots for i in range(3)] == [2, 3, 3]
    assert [pool.part("c", i, 20).slots for i in range(20)] == [1] * 20


def test_a_loss_that_several_pools_saw_is_one() -> None:
    async def run() -> None:
        worker = Mortal()
        whole = SandboxPool([worker], SandboxPoolConfig(retries=0))
        await whole.start(5)
        first, second = (SandboxPool.join(whole.part(f"c{i}", i, 2)) for i in range(2))
        worker.die()
        jobs = (pool.run(JOB) for pool in (first, second))
        assert {v.outcome for v in await asyncio.gather(*jobs)} == {Outcome.infra_error}
        assert len(first.lost | second.lost) == 1
        await until(lambda: not first._recovering)
        await until(lambda: not second._recovering)
        assert (await second.run(JOB)).outcome is Outcome.passed
        worker.die()
        await second.run(JOB)
        whole.lost.update(first.lost, second.lost)
        assert whole.losses == 2

    asyncio.run(run())


def test_a_process_that_joins_after_a_loss_counts_the_next_one() -> None:
    async def run() -> None:
        worker = Mortal()
        whole = SandboxPool([worker], SandboxPoolConfig(retries=0))
        await whole.start(5)
        first = SandboxPool.join(whole.part("c.0", 0, 1))
        worker.die()
        await first.run(JOB)
        whole.hear(first.lost)
        await until(lambda: not whole._recovering)
        second = SandboxPool.join(whole.part("c.1", 0, 1))
        worker.die()
        await second.run(JOB)
        whole.hear(second.lost)
        whole.hear(second.lost)
        assert whole.losses == 2

    asyncio.run(run())
