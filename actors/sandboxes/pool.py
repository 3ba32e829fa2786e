"""SandboxPool: the driver's side of all sandbox workers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors.cluster.placement import SANDBOX_RESOURCE
from actors.cluster.ray_calls import gather, no_options, wait_for_all
from actors.config import SandboxPoolConfig
from actors.sandboxes.worker import SandboxWorker
from sandbox import Job, Outcome, SandboxConfig, SandboxError, TestOutcome, TestResult, Verdict

logger = logging.getLogger(__name__)

_RESTART_S = 120.0
"""Longest wait for a worker to warm its sandboxes again [seconds]."""

_RETRY_S = 1.0
"""Time between two attempts to warm a worker's sandboxes again [seconds]."""

_STOP_S = 20.0
"""Longest wait for the workers to close their sandboxes [seconds]."""


class SandboxPool:
    """Sends each job to the worker with the fewest jobs under way; deadlines and retries.

    A worker that died, gave no verdict in time or can start no sandbox any more gets no job until
    it has warmed its sandboxes again. It must isolate programs as it did before: a restarted worker
    that finds no Docker engine stays out rather than run programs without isolation.

    Example:
        pool = SandboxPool.create(sandbox_config, pool_config, run="smoke")
        await pool.start(deadline_s=120)
        async for verdict in pool.stream(jobs):
            print(verdict.job_id, verdict.outcome)
        await pool.stop()
    """

    def __init__(self, workers: Sequence[Any], config: SandboxPoolConfig) -> None:
        """Take charge of `workers`, handles of `SandboxWorker` actors; `create` makes them."""
        self.workers = list(workers)
        self.config = config
        self.losses = 0
        """Times a worker died or did not answer."""
        self._load = [0] * len(self.workers)
        self._recovering: dict[int, asyncio.Task[None]] = {}
        """Workers that get no job, and the task that waits for each to be warm again."""
        self._backends: list[str | None] = [None] * len(self.workers)
        self._last_error = ""
        self._recovered = asyncio.Event()
        """Set when a worker is warm again; wakes the jobs that found no worker at all."""
        self._numbers = itertools.count()
        # No more jobs are sent than run at a time: what waits in the driver can still go to
        # whichever worker is free first, and is not lost with a worker.
        self._slots = asyncio.Semaphore(len(self.workers) * config.slots_per_worker)

    @classmethod
    def create(
        cls,
        sandbox: SandboxConfig,
        config: SandboxPoolConfig,
        run: str,
        options: Callable[[int], dict[str, Any]] = no_options,
    ) -> SandboxPool:
        """Create the actors (named `sandbox-0`, ...); they warm their sandboxes on `start()`.

        Workers run only on nodes with the resource `sandbox`, so that untrusted code stays off the
        nodes that hold models.

        Args:
            sandbox: what one sandbox is.
            config: how many workers and sandboxes, and the deadlines.
            run: the run's name, which labels its containers.
            options: further Ray options of worker `i`, such as its placement.
        """
        actor = ray.remote(SandboxWorker)
        env = {key: os.environ[key] for key in ("DOCKER_HOST",) if key in os.environ}
        env["CUDA_VISIBLE_DEVICES"] = ""  # Ray would let it see every GPU of its node
        workers = [
            actor.options(
                name=f"sandbox-{i}",
                num_cpus=0,
                resources={SANDBOX_RESOURCE: 1},
                max_restarts=-1,
                # A cancellation must get through while every slot and its successor are taken.
                max_concurrency=4 * config.slots_per_worker,
                runtime_env={"env_vars": env},
                **options(i),
            ).remote(sandbox, config.slots_per_worker, run, i)
            for i in range(config.workers)
        ]
        return cls(workers, config)

    async def start(self, deadline_s: float) -> tuple[str, str]:
        """Warm every sandbox; returns the weakest isolation of all workers and the reason for it.

        Raises:
            RunFailed: a worker can start no sandbox; the message holds the remedy.
            TimeoutError: a worker did not answer within `deadline_s` seconds.
        """
        calls = [worker.start.remote(None) for worker in self.workers]
        isolations = await gather("sandbox: start", calls, deadline_s)
        self._backends = [backend for backend, _ in isolations]
        return max(isolations, key=lambda isolation: isolation[0] == "process")

    async def stop(self) -> None:
        """Close every sandbox and end the actors; waits at most 20 s for the containers to go."""
        for recovery in self._recovering.values():
            recovery.cancel()
        await wait_for_all([worker.stop.remote() for worker in self.workers], _STOP_S)
        for worker in self.workers:
            ray.kill(worker)

    async def stream(self, jobs: Iterable[Job]) -> AsyncIterator[Verdict]:
        """Yield exactly one verdict for each job, in the order in which they are ready.

        Leaving the loop early (with `aclosing`, or by an exception in the consumer's task) cancels
        the jobs that have not ended.

        Raises:
            TimeoutError: as for `run`.
        """
        waiting = {asyncio.ensure_future(self.run(job)) for job in jobs}
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def run(self, job: Job) -> Verdict:
        """The verdict of one job.

        An infrastructure fault is retried `pool.retries` times, on a worker that has not failed
        this job while there is one; then it is the verdict. Cancelling kills the program and frees
        its slot.

        Raises:
            TimeoutError: no worker answers, and none recovered within `pool.job_timeout_s`.
        """
        failed: set[int] = set()
        async with self._slots:
            for attempt in range(self.config.retries + 1):
                index = await self._least_loaded(failed)
                verdict = await self._attempt(job, index)
                # A checker that failed would fail on every worker.
                judged = verdict.outcome is not Outcome.infra_error or verdict.checker_failed
                if judged or attempt == self.config.retries:
                    return verdict
                failed.add(index)
        raise AssertionError("unreachable: the last attempt returns")

    async def _least_loaded(self, failed: set[int]) -> int:
        """The worker with the fewest jobs under way, of those not in `failed` if there are any."""
        try:
            async with asyncio.timeout(self.config.job_timeout_s):
                while len(self._recovering) == len(self.workers):
                    self._recovered.clear()
                    await self._recovered.wait()
        except TimeoutError:
            raise TimeoutError(
                f"none of {len(self.workers)} sandbox workers answers, and none recovered within "
                f"{self.config.job_timeout_s:g} s (pool.job_timeout_s); the last one: "
                f"{self._last_error}"
            ) from None
        healthy = [i for i in range(len(self.workers)) if i not in self._recovering]
        untried = [i for i in healthy if i not in failed]
        return min(untried or healthy, key=self._load.__getitem__)

    def _on_lost(self, job: Job, index: int, why: str) -> Verdict:
        """Take the worker out until it has recovered; returns the verdict of the failed attempt."""
        self._last_error = f"sandbox-{index}: {why}"
        if index not in self._recovering:
            self.losses += 1
            logger.warning("%s; it gets no job until it has recovered", self._last_error)
            self._recovering[index] = asyncio.create_task(self._recover(index))
        return Verdict(
            job.id,
            Outcome.infra_error,
            tests=(TestResult(TestOutcome.not_run),) * len(job.cases),
            error=self._last_error,
            trusted_tests=job.assertions is None,
        )

    async def _recover(self, index: int) -> None:
        """Ask a worker to warm its sandboxes until it succeeds."""
        while True:
            try:
                start = self.workers[index].start.remote(self._backends[index])
                await asyncio.wait_for(start, _RESTART_S)
                break
            except (RayError, TimeoutError) as error:
                self._last_error = f"sandbox-{index}: {_message(error)}"
                await asyncio.sleep(_RETRY_S)
        logger.info("sandbox-%d has recovered", index)
        del self._recovering[index]
        self._recovered.set()

    async def _attempt(self, job: Job, index: int) -> Verdict:
        worker, number = self.workers[index], next(self._numbers)
        answer = asyncio.ensure_future(worker.run.remote(job, number, self._backends[index]))
        # The load counts until the worker is done with the job, which may be later than the end of
        # a cancelled wait.
        self._load[index] += 1
        answer.add_done_callback(lambda ended: self._on_answer(index, ended))
        try:
            verdict = await asyncio.wait_for(asyncio.shield(answer), self.config.job_timeout_s)
            assert verdict is not None, "only a call that nobody awaits any more is cancelled"
            return verdict
        except asyncio.CancelledError:
            worker.cancel.remote(number)
            raise
        except TimeoutError:
            worker.cancel.remote(number)
            return self._on_lost(job, index, f"no verdict within {self.config.job_timeout_s:g} s")
        except RayError as error:
            if isinstance(error, RayTaskError) and not isinstance(error.cause, SandboxError):
                raise
            return self._on_lost(job, index, _message(error))

    def _on_answer(self, index: int, answer: asyncio.Future[Verdict | None]) -> None:
        self._load[index] -= 1
        if not answer.cancelled():
            answer.exception()  # retrieved: asyncio logs errors that nobody has looked at


def _message(error: BaseException) -> str:
    """The message of an actor's own error where it raised one, without the stack trace."""
    return str(error.cause if isinstance(error, RayTaskError) else error) or type(error).__name__
