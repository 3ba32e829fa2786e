"""SandboxPool: one process's side of all sandbox workers.

The driver makes them, warms them and ends them; it and every collector has them run jobs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError

from actors.cluster.placement import SANDBOX_RESOURCE
from actors.cluster.ray_calls import gather, no_options, wait_for_all
from actors.config import SandboxPoolConfig
from actors.sandboxes.parcels import in_calls, pack, unpack
from actors.sandboxes.worker import Isolation, SandboxWorker
from sandbox import Job, Outcome, SandboxConfig, SandboxError, TestOutcome, TestResult, Verdict

logger = logging.getLogger(__name__)

_RESTART_S = 120.0
"""Longest wait for a worker to warm its sandboxes again [seconds]."""

_RETRY_S = 1.0
"""Time between two attempts to warm a worker's sandboxes again [seconds]."""

_STOP_S = 20.0
"""Longest wait for the workers to close their sandboxes [seconds]."""


class Loss(NamedTuple):
    """The loss of a worker, by which several pools know that it is the same one."""

    worker: int
    """Its index."""
    life: str
    """Which of its processes was lost, as `SandboxWorker.start` named it."""
    number: int
    """Number of the loss among those of that process that one pool saw: it may fall silent more
    than once."""


@dataclass(frozen=True)
class PoolPart:
    """What another process needs to use the workers of a pool."""

    workers: tuple[Any, ...]
    """Their handles."""
    config: SandboxPoolConfig
    isolations: tuple[Isolation, ...]
    """Of each worker when it was started."""
    caller: str
    """Names the process to the workers (`SandboxWorker.abandon`)."""
    slots: int
    """Jobs that it may have under way."""


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

    def __init__(
        self,
        workers: Sequence[Any],
        config: SandboxPoolConfig,
        caller: str = "driver",
        slots: int | None = None,
    ) -> None:
        """Use `workers`, handles of `SandboxWorker` actors; `create` makes them.

        Args:
            workers: all of them.
            config: slots of each, and the deadlines.
            caller: names this process to the workers; no two at a time have the same name.
            slots: jobs under way at a time; None is as many as the workers run at a time.
        """
        self.workers = list(workers)
        self.config = config
        self.lost: set[Loss] = set()
        """Every loss of a worker that this pool saw, or was told of."""
        self._caller = caller
        self._load = [0] * len(self.workers)
        self._order = list(range(len(self.workers)))
        """Of workers with equal load, the first in this order gets a job."""
        self._recovering: dict[int, asyncio.Task[None]] = {}
        """Workers that get no job, and the task that waits for each to be warm again."""
        self._isolations: list[Isolation | None] = [None] * len(self.workers)
        self._last_error = ""
        self._recovered = asyncio.Event()
        """Set when a worker is warm again; wakes the jobs that found no worker at all."""
        self._numbers = itertools.count()
        # No more jobs are sent than run at a time: what waits here can still go to whichever worker
        # is free first, and is not lost with a worker.
        self._slots = asyncio.Semaphore(slots or len(self.workers) * config.slots_per_worker)

    @classmethod
    def join(cls, part: PoolPart) -> SandboxPool:
        """The pool of another process, over workers that were started already."""
        pool = cls(part.workers, part.config, part.caller, part.slots)
        pool._isolations = list(part.isolations)
        random.Random(part.caller).shuffle(pool._order)  # not all begin with the same worker
        return pool

    def part(self, caller: str, index: int, parts: int) -> PoolPart:
        """What process `index` of `parts` needs to `join`; together they have every slot.

        Each has one slot at least.
        """
        slots = len(self.workers) * self.config.slots_per_worker
        share = slots * (index + 1) // parts - slots * index // parts
        isolations = tuple(each for each in self._isolations if each is not None)
        return PoolPart(tuple(self.workers), self.config, isolations, caller, max(1, share))

    @property
    def losses(self) -> int:
        """Times a worker died or did not answer."""
        return len(self.lost)

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
                # A cancellation must get through, whatever the collectors have under way.
                max_concurrency=1000,
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
        isolations: list[Isolation] = await gather(
            "sandbox: start", calls, deadline_s, "rollout.start_timeout_s"
        )
        self._isolations = list(isolations)
        weakest = max(isolations, key=lambda isolation: isolation.backend == "process")
        return weakest.backend, weakest.reason

    async def stop(self) -> None:
        """Close every sandbox and end the actors; waits at most 20 s for the containers to go."""
        for recovery in self._recovering.values():
            recovery.cancel()
        await wait_for_all([worker.stop.remote() for worker in self.workers], _STOP_S)
        for worker in self.workers:
            ray.kill(worker)

    def hear(self, losses: Iterable[Loss]) -> None:
        """Take losses that the pool of another process saw.

        A process that joins from then on knows the next life of the worker, or it would take the
        loss of that for this one.
        """
        for loss in set(losses) - self.lost:
            self.lost.add(loss)
            isolation = self._isolations[loss.worker]
            if isolation and isolation.life == loss.life and loss.worker not in self._recovering:
                self._recovering[loss.worker] = asyncio.create_task(self._recover(loss.worker))

    def abandon(self, caller: str) -> None:
        """Have the workers kill the programs of a process that died."""
        for worker in self.workers:
            worker.abandon.remote(caller)

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
        healthy = [i for i in self._order if i not in self._recovering]
        untried = [i for i in healthy if i not in failed]
        return min(untried or healthy, key=self._load.__getitem__)

    def _on_lost(self, job: Job, index: int, why: str) -> Verdict:
        """Take the worker out until it has recovered; returns the verdict of the failed attempt."""
        self._last_error = f"sandbox-{index}: {why}"
        if index not in self._recovering:
            isolation = self._isolations[index]
            life = isolation.life if isolation else ""
            earlier = sum(loss[:2] == (index, life) for loss in self.lost)
            self.lost.add(Loss(index, life, earlier))
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
                start = self.workers[index].start.remote(self._backend(index))
                self._isolations[index] = await asyncio.wait_for(start, _RESTART_S)
                break
            except (RayError, TimeoutError) as error:
                self._last_error = f"sandbox-{index}: {_message(error)}"
                await asyncio.sleep(_RETRY_S)
        logger.info("sandbox-%d has recovered", index)
        del self._recovering[index]
        self._recovered.set()

    def _backend(self, index: int) -> str | None:
        """The isolation that a worker had when it was started."""
        isolation = self._isolations[index]
        return isolation.backend if isolation else None

    async def _attempt(self, job: Job, index: int) -> Verdict:
        worker, ticket = self.workers[index], (self._caller, next(self._numbers))
        pieces, answer = pack(job), None
        self._load[index] += 1
        try:
            async with asyncio.timeout(self.config.job_timeout_s):
                for several in in_calls(pieces):
                    await worker.hold.remote(ticket, *several)
                backend = self._backend(index)
                call = worker.run.remote(len(pieces) if pieces else job, ticket, backend)
                answer = asyncio.ensure_future(call)
                # The load counts until the worker is done with the job, which may be later than the
                # end of a cancelled wait.
                answer.add_done_callback(lambda ended: self._on_answer(index, ended))
                verdict = await asyncio.shield(answer)
                if isinstance(verdict, int):
                    fetched = [await worker.fetch.remote(ticket, i) for i in range(verdict)]
                    verdict = unpack(fetched)
            assert isinstance(verdict, Verdict), "only a call that nobody awaits is cancelled"
            return verdict
        except asyncio.CancelledError:
            worker.cancel.remote(ticket)
            raise
        except TimeoutError:
            worker.cancel.remote(ticket)
            return self._on_lost(job, index, f"no verdict within {self.config.job_timeout_s:g} s")
        except RayError as error:
            worker.cancel.remote(ticket)  # it may be well, and hold the job or pieces of it
            if isinstance(error, RayTaskError) and not isinstance(error.cause, SandboxError):
                raise
            return self._on_lost(job, index, _message(error))
        finally:
            if answer is None:
                self._load[index] -= 1

    def _on_answer(self, index: int, answer: asyncio.Future[Verdict | int | None]) -> None:
        self._load[index] -= 1
        if not answer.cancelled():
            answer.exception()  # retrieved: asyncio logs errors that nobody has looked at


def _message(error: BaseException) -> str:
    """The message of an actor's own error where it raised one, without the stack trace."""
    return str(error.cause if isinstance(error, RayTaskError) else error) or type(error).__name__
