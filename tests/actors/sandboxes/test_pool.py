"""The sandbox pool on real Ray actors: every job gets one verdict, also when an actor is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.config import SandboxPoolConfig
from actors.sandboxes.pool import SandboxPool
from actors.sandboxes.worker import Isolation, SandboxWorker
from curriculum.problem import Test
from sandbox import (
    Job,
    Limits,
    Outcome,
    SandboxConfig,
    SandboxError,
    TestOutcome,
    TestResult,
    Verdict,
)
from tests.actors.rollout.clock_fleet import until

pytestmark = pytest.mark.integration

TESTS = (Test(input=[3], output=9), Test(input=[-2], output=4))
PROGRAMS = {
    "right": ("def f(x):\n    return x * x", Outcome.passed),
    "wrong": ("def f(x):\n    return x + x", Outcome.failed),
    "raises": ("def f(x):\n    return x / 0", Outcome.runtime_error),
    "broken": ("def f(x:\n    return x", Outcome.compile_error),
    "endless": ("def f(x):\n    while True:\n        x += 1", Outcome.timeout),
}


SLEEPS = "import time\n\ndef f(x):\n    time.sleep(9)\n    return x * x"
DOCKER = pytest.param("docker", marks=pytest.mark.docker)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=["process", DOCKER])
def pool(
    request: pytest.FixtureRequest, ray_cluster: str, loop: asyncio.Runner
) -> Iterator[SandboxPool]:
    config = SandboxConfig(backend=request.param, limits=Limits(wall_seconds=1.0))
    created = SandboxPool.create(config, SandboxPoolConfig(workers=2), "pool-test")
    isolation, _ = loop.run(created.start(120))
    assert isolation == request.param
    yield created
    loop.run(created.stop())


QUICK, PATIENT = Limits(wall_seconds=1.0), Limits(wall_seconds=9.0)


def job(name: str, source: str, limits: Limits = PATIENT) -> Job:
    return Job(id=name, source=source, fn_name="f", tests=TESTS, limits=limits)


def test_each_job_gets_its_own_verdict(pool: SandboxPool, loop: asyncio.Runner) -> None:
    async def run() -> None:
        jobs = [
            job(f"{name}-{i}", source, QUICK if name == "endless" else PATIENT)
            for i in range(4)
            for name, (source, _) in PROGRAMS.items()
        ]
        verdicts = await asyncio.gather(*(pool.run(each) for each in jobs))
        for each, verdict in zip(jobs, verdicts, strict=True):
            assert verdict.job_id == each.id
            assert verdict.outcome is PROGRAMS[each.id.partition("-")[0]][1], verdict
        assert len({verdict.slot for verdict in verdicts}) > 1, "more than one sandbox worked"

    loop.run(run())


def test_verdicts_stream_as_they_are_ready(pool: SandboxPool, loop: asyncio.Runner) -> None:
    async def run() -> None:
        slow = job("slow", "import time\n\ndef f(x):\n    time.sleep(0.5)\n    return x * x")
        jobs = [slow, *(job(f"{i}", PROGRAMS["right"][0]) for i in range(6))]
        seen = [verdict.job_id async for verdict in pool.stream(jobs)]
        assert sorted(seen) == sorted(each.id for each in jobs)
        assert seen[0] != "slow", "the first job is not the first verdict"
        assert [verdict async for verdict in pool.stream([])] == []

    loop.run(run())


def test_cancelling_a_run_frees_its_slot(pool: SandboxPool, loop: asyncio.Runner) -> None:
    async def run() -> None:
        endless = [asyncio.ensure_future(pool.run(job(f"{i}", SLEEPS))) for i in range(20)]
        await asyncio.sleep(0.3)
        for each in endless:
            each.cancel()
        ended = await asyncio.wait_for(asyncio.gather(*endless, return_exceptions=True), 5)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        began = time.monotonic()
        verdict = await asyncio.wait_for(pool.run(job("next", PROGRAMS["right"][0])), 20)
        assert verdict.outcome is Outcome.passed
        assert time.monotonic() - began < PATIENT.wall_seconds, "the programs were killed"

    loop.run(run())


def test_leaving_a_stream_cancels_its_other_jobs(pool: SandboxPool, loop: asyncio.Runner) -> None:
    async def run() -> None:
        jobs = [job("quick", PROGRAMS["right"][0]), *(job(f"{i}", SLEEPS) for i in range(20))]
        stream = pool.stream(jobs)
        assert isinstance(stream, AsyncGenerator)
        async with aclosing(stream) as verdicts:
            async for verdict in verdicts:
                assert verdict.job_id == "quick"
                break
        verdict = await asyncio.wait_for(pool.run(job("next", PROGRAMS["right"][0])), 20)
        assert verdict.outcome is Outcome.passed

    loop.run(run())


class Scripted:
    """A worker in this process that answers with the outcome it was given, and counts."""

    def __init__(self, outcome: Outcome) -> None:
        self.asked = 0
        self.outcome = outcome
        self.run = self

    async def remote(self, given: Job, _ticket: Any, _backend: str | None) -> Verdict:
        self.asked += 1
        return Verdict(given.id, self.outcome, tests=())


@pytest.mark.parametrize("able", [0, 1, 2])
def test_an_infrastructure_fault_is_retried_on_another_worker(able: int) -> None:
    outcomes = [Outcome.infra_error if i != able else Outcome.passed for i in range(3)]
    workers = [Scripted(outcome) for outcome in outcomes]
    config = SandboxPoolConfig(workers=3, retries=2)
    verdict = asyncio.run(run_one(workers, config))
    assert verdict.outcome is Outcome.passed
    assert max(worker.asked for worker in workers) == 1


def test_a_permanent_infrastructure_fault_is_the_verdict() -> None:
    workers = [Scripted(Outcome.infra_error) for _ in range(2)]
    verdict = asyncio.run(run_one(workers, SandboxPoolConfig(workers=2, retries=2)))
    assert verdict.outcome is Outcome.infra_error
    assert sorted(worker.asked for worker in workers) == [1, 2]


def test_a_checker_that_failed_is_not_asked_again() -> None:
    async def fail(given: Job, _ticket: Any, _backend: str | None) -> Verdict:
        tests = (TestResult(TestOutcome.checker_failed, "the checker failed: x"),)
        worker.asked += 1
        return Verdict(given.id, Outcome.infra_error, tests=tests)

    worker = Scripted(Outcome.infra_error)
    worker.run = SimpleNamespace(remote=fail)  # type: ignore[assignment]
    verdict = asyncio.run(run_one([worker], SandboxPoolConfig(workers=1, retries=2)))
    assert verdict.checker_failed
    assert worker.asked == 1


async def run_one(workers: Sequence[Any], config: SandboxPoolConfig) -> Verdict:
    return await SandboxPool(workers, config).run(job("one", PROGRAMS["right"][0]))


def test_every_job_gets_its_verdict_when_an_actor_is_killed(
    pool: SandboxPool, loop: asyncio.Runner
) -> None:
    victim: Any = pool.workers[0]
    asked: ray.ObjectRef[int] = victim.__ray_call__.remote(lambda _: os.getpid())
    pid = ray.get(asked, timeout=30)

    async def run() -> None:
        source = "import time\n\ndef f(x):\n    time.sleep(0.1)\n    return x * x"
        jobs = [asyncio.ensure_future(pool.run(job(f"{i}", source))) for i in range(12)]
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        verdicts = await asyncio.wait_for(asyncio.gather(*jobs), 120)
        assert [verdict.job_id for verdict in verdicts] == [f"{i}" for i in range(12)]
        assert {verdict.outcome for verdict in verdicts} == {Outcome.passed}

    loop.run(run())


class Mortal:
    """A worker in this process that dies or falls silent on its first job, and comes back.

    It is warm again once `back` is set.
    """

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.back = asyncio.Event()
        self.asked = self.started = 0
        self.run = SimpleNamespace(remote=self._run)
        self.start = SimpleNamespace(remote=self._start)
        self.cancel = SimpleNamespace(remote=lambda _ticket: None)

    async def _run(self, given: Job, _ticket: Any, _backend: str | None) -> Verdict:
        self.asked += 1
        if self.asked == 1 and self.fault == "dies":
            raise RayActorError
        if self.asked == 1 and self.fault == "lost its engine":
            raise RayTaskError("run", "Traceback ...", SandboxError("no engine; start Docker"))
        if self.asked == 1:
            await asyncio.sleep(60)
        return Verdict(given.id, Outcome.passed, tests=())

    async def _start(self, _backend: str | None) -> Isolation:
        await self.back.wait()
        self.started += 1
        return Isolation("process", "", f"life {self.started}")


@pytest.mark.parametrize("fault", ["dies", "is silent", "lost its engine"])
def test_a_job_waits_for_the_only_worker_to_recover(fault: str) -> None:
    timeout_s = 1 if fault == "is silent" else 60

    async def run() -> None:
        worker = Mortal(fault)
        config = SandboxPoolConfig(workers=1, retries=1, job_timeout_s=timeout_s)
        verdict = asyncio.ensure_future(run_one([worker], config))
        await until(lambda: worker.asked == 1)
        assert not (await asyncio.wait([verdict], timeout=0.1))[0]
        worker.back.set()
        assert (await verdict).outcome is Outcome.passed
        assert (worker.asked, worker.started) == (2, 1)

    asyncio.run(run())


def test_a_lost_worker_gets_no_job_until_it_has_recovered() -> None:
    async def run() -> None:
        lost, other = Mortal("dies"), Mortal("")
        other.asked = 1
        pool = SandboxPool([lost, other], SandboxPoolConfig(workers=2, slots_per_worker=1))
        for _ in range(4):
            assert (await pool.run(job("j", "x = 1"))).outcome is Outcome.passed
        assert lost.asked == 1
        assert pool.losses == 1
        lost.back.set()
        await until(lambda: not pool._recovering)
        await pool.run(job("j", "x = 1"))
        assert lost.asked == 2

    asyncio.run(run())


def test_the_error_when_no_worker_answers_holds_the_last_workers_message() -> None:
    worker = Mortal("lost its engine")
    config = SandboxPoolConfig(workers=1, retries=1, job_timeout_s=0.1)
    message = (
        r"none of 1 sandbox workers answers, .*job_timeout_s.*sandbox-0: no engine; start Docker"
    )
    with pytest.raises(TimeoutError, match=message):
        asyncio.run(run_one([worker], config))


def test_one_lost_worker_counts_once_however_many_jobs_it_had() -> None:
    async def run() -> None:
        lost = Mortal("dies")
        lost.run = SimpleNamespace(remote=fail)
        pool = SandboxPool([lost], SandboxPoolConfig(workers=1, slots_per_worker=4, retries=0))
        verdicts = await asyncio.gather(*(pool.run(job(f"{i}", "x = 1")) for i in range(4)))
        assert {verdict.outcome for verdict in verdicts} == {Outcome.infra_error}
        assert pool.losses == 1

    async def fail(given: Job, _ticket: Any, _backend: str | None) -> Verdict:
        await asyncio.sleep(0.01)
        raise RayActorError

    asyncio.run(run())


def test_a_restarted_worker_never_isolates_less_than_before(
    ray_cluster: str, loop: asyncio.Runner
) -> None:
    """Its process is new and its Docker engine gone: `auto` would fall back to plain processes."""
    remote = ray.remote(SandboxWorker).options(max_concurrency=4, num_cpus=0)
    worker: Any = remote.remote(SandboxConfig(backend="auto"), 1, "weaker", 0)
    pool = SandboxPool([worker], SandboxPoolConfig(workers=1, job_timeout_s=8))
    pool._isolations = [Isolation("docker", "", "before")]

    async def run() -> None:
        await worker.__ray_call__.remote(lambda _: os.environ.update(DOCKER_HOST="tcp://0.0.0.0:1"))
        with pytest.raises(TimeoutError, match=r"sandbox-0: .*Docker"):
            await pool.run(job("one", PROGRAMS["right"][0]))

    try:
        loop.run(run())
    finally:
        loop.run(pool.stop())
