"""The sandbox pool: Ray actors that own warm sandboxes, and the driver's side that feeds them.

`SandboxWorker` runs only on nodes that advertise the resource `sandbox`, so that untrusted code
stays off the GPU nodes. `SandboxPool` sends each job to the worker with the fewest jobs under way.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors.cluster.ray_calls import answers, no_options
from actors.config import SandboxPoolConfig
from sandbox import (
    Cancelled,
    Job,
    Outcome,
    Sandbox,
    SandboxConfig,
    SandboxError,
    TestOutcome,
    TestResult,
    Verdict,
)
from sandbox.backends.docker_client import reap_strays

START_S = 120.0
"""Longest wait for a worker to warm its sandboxes again [seconds]."""
RESOURCE = "sandbox"
"""The custom Ray resource that marks a node as an execution node."""


@dataclass
class Call:
    """One call of `SandboxWorker.run`, waiting or under way."""

    job: Job
    backend: str | None
    """The isolation that it asks for; None takes what there is."""
    sandbox: Sandbox | None = None
    """Where it runs; None while it waits for one."""
    cancelled: bool = False


class SandboxWorker:
    """Owns `slots` warm sandboxes and runs one job in each at a time.

    Lifecycle: `start()` warms every sandbox; `run()` waits for a free one; `stop()` closes them
    all. When the process dies instead, each sandbox's runner exits with its socket, and the actor
    that Ray starts in its place warms its own with the first job.
    """

    def __init__(self, config: SandboxConfig, slots: int, run: str, index: int) -> None:
        self._config = config
        self._run_name = run
        self._first = index * slots
        self._slots = slots
        self._sandboxes: list[Sandbox] = []
        self._free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="sandbox")
        self._starting = threading.Lock()
        self._calls: dict[int, Call] = {}

    async def start(self, backend: str | None) -> tuple[str, str]:
        """Clear away what dead runs left, build a missing image, warm every sandbox.

        Args:
            backend: the isolation that there was before; None lets the configuration choose.

        Returns:
            The isolation in force (`docker` or `process`), and why it is that one.

        Raises:
            SandboxError: no sandbox can be started here; the message holds the remedy.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, self._start, backend)
        return self._sandboxes[0].isolation, self._sandboxes[0].reason

    def _start(self, backend: str | None) -> None:
        with self._starting:
            if self._sandboxes:
                return
            reap_strays()
            config = self._config.model_copy(update={"backend": backend} if backend else {})
            sandboxes = [
                Sandbox(config, slot=self._first + i, run=self._run_name)
                for i in range(self._slots)
            ]
            for sandbox in sandboxes:
                sandbox.start()
            self._sandboxes = sandboxes
            for sandbox in sandboxes:
                self._free.put(sandbox)

    async def run(self, job: Job, number: int, backend: str | None) -> Verdict | None:
        """Run one job in the next free sandbox; None if it was cancelled.

        Args:
            job: what to run.
            number: unique among the caller's, for `cancel`.
            backend: as for `start`, which this does where nobody has since the process began.
        """
        call = self._calls[number] = Call(job, backend)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, call)
        finally:
            del self._calls[number]

    async def cancel(self, number: int) -> None:
        """Kill the program of that call, or never start it: its slot is free for another."""
        call = self._calls.get(number)
        if call is None:
            return
        call.cancelled = True
        while number in self._calls and not (call.sandbox and call.sandbox.cancel(call.job)):
            await asyncio.sleep(0.01)  # it is about to begin, or to end

    def _run(self, call: Call) -> Verdict | None:
        if call.cancelled:
            return None
        self._start(call.backend)
        sandbox = self._free.get()
        try:
            call.sandbox = sandbox
            return None if call.cancelled else sandbox.run(call.job)
        except Cancelled:
            return None
        finally:
            self._free.put(sandbox)

    def stop(self) -> None:
        """Close every sandbox and its container."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for sandbox in self._sandboxes:
            sandbox.close()


class SandboxPool:
    """The driver's handle on the sandbox workers: least-loaded dispatch, deadlines, retries.

    A worker that died, gave no verdict in time or can start no sandbox any more gets no job until
    it answers again. One that comes back isolates programs as it did before, or not at all.

    Example:
        async for verdict in pool.stream(jobs):
            print(verdict.job_id, verdict.outcome)
    """

    def __init__(self, workers: Sequence[Any], config: SandboxPoolConfig) -> None:
        self.workers = list(workers)
        self.config = config
        self.losses = 0
        """Times a worker died or fell silent."""
        self._load = [0] * len(self.workers)
        self._silent: dict[int, asyncio.Task[None]] = {}
        self._backends: list[str | None] = [None] * len(self.workers)
        self._last_words = ""
        self._news = asyncio.Event()
        self._numbers = itertools.count()
        self._slots = asyncio.Semaphore(len(self.workers) * config.slots_per_worker)

    @classmethod
    def launch(
        cls,
        sandbox: SandboxConfig,
        config: SandboxPoolConfig,
        run: str,
        options: Callable[[int], dict[str, Any]] = no_options,
    ) -> SandboxPool:
        """Create the actors (named `sandbox-0`, ...); they warm up on `start()`."""
        actor = ray.remote(SandboxWorker)
        env = {key: os.environ[key] for key in ("DOCKER_HOST",) if key in os.environ}
        workers = [
            actor.options(
                name=f"sandbox-{i}",
                num_cpus=0,
                resources={RESOURCE: 1},
                max_restarts=-1,
                max_concurrency=4 * config.slots_per_worker,
                runtime_env={"env_vars": env},
                **options(i),
            ).remote(sandbox, config.slots_per_worker, run, i)
            for i in range(config.workers)
        ]
        return cls(workers, config)

    async def start(self, deadline_s: float) -> tuple[str, str]:
        """Warm every sandbox; returns the weakest isolation in force and the reason for it."""
        calls = [worker.start.remote(None) for worker in self.workers]
        found = await answers("sandbox: start", calls, deadline_s)
        self._backends = [backend for backend, _ in found]
        return max(found, key=lambda one: one[0] == "process")

    async def stream(self, jobs: Iterable[Job]) -> AsyncIterator[Verdict]:
        """The jobs' verdicts, each as soon as it is there, in no order; exactly one per job.

        Leaving the loop early (with `aclosing`, or by an exception in the consumer's task) cancels
        what has not ended. Raises what `run` raises.
        """
        waiting = {asyncio.ensure_future(self.run(job)) for job in jobs}
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    yield each.result()
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def run(self, job: Job) -> Verdict:
        """One verdict for one job; an infrastructure fault is retried, then returned as such.

        A retry goes to a worker that has not failed this job, while there is one. Cancelling kills
        the program and frees its slot.

        Raises:
            TimeoutError: no worker answers, and none came back within `job_timeout_s`.
        """
        failed: set[int] = set()
        async with self._slots:
            for attempt in range(self.config.retries + 1):
                index = await self._least_loaded(failed)
                verdict = await self._attempt(job, index)
                if verdict.outcome is not Outcome.infra_error or attempt == self.config.retries:
                    return verdict
                failed.add(index)
        raise AssertionError("unreachable: the last attempt returns")

    async def _least_loaded(self, failed: set[int]) -> int:
        """The worker with the fewest jobs under way, of those not in `failed` if there are any."""
        try:
            async with asyncio.timeout(self.config.job_timeout_s):
                while len(self._silent) == len(self.workers):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(
                f"none of {len(self.workers)} sandbox workers answers, nor came back within "
                f"{self.config.job_timeout_s:g} s (pool.job_timeout_s); the last one: "
                f"{self._last_words}"
            ) from None
        there = [i for i in range(len(self.workers)) if i not in self._silent]
        able = [i for i in there if i not in failed]
        return min(able or there, key=self._load.__getitem__)

    def _lost(self, job: Job, index: int, why: str) -> Verdict:
        """The verdict of an attempt that came to nothing; the worker has to answer first."""
        self._last_words = f"sandbox-{index}: {why}"
        if index not in self._silent:
            self.losses += 1
            self._silent[index] = asyncio.create_task(self._await_return(index))
        return Verdict(
            job.id,
            Outcome.infra_error,
            tests=(TestResult(TestOutcome.not_run),) * len(job.cases),
            error=self._last_words,
            trusted_tests=job.assertions is None,
        )

    async def _await_return(self, index: int) -> None:
        """Ask a worker to warm up until it says that it has."""
        while True:
            try:
                start = self.workers[index].start.remote(self._backends[index])
                await asyncio.wait_for(start, START_S)
                break
            except (RayError, TimeoutError) as error:
                self._last_words = f"sandbox-{index}: {_said(error)}"
                await asyncio.sleep(1)
        del self._silent[index]
        self._news.set()

    async def _attempt(self, job: Job, index: int) -> Verdict:
        worker, number = self.workers[index], next(self._numbers)
        answer = asyncio.ensure_future(worker.run.remote(job, number, self._backends[index]))
        # The load counts until the worker is done, which outlasts a wait that is cancelled.
        self._load[index] += 1
        answer.add_done_callback(lambda ended: self._ended(index, ended))
        try:
            verdict = await asyncio.wait_for(asyncio.shield(answer), self.config.job_timeout_s)
            assert verdict is not None, "only what nobody awaits any more is cancelled"
            return verdict
        except asyncio.CancelledError:
            worker.cancel.remote(number)
            raise
        except TimeoutError:
            worker.cancel.remote(number)
            return self._lost(job, index, f"no verdict within {self.config.job_timeout_s:g} s")
        except RayError as error:
            if isinstance(error, RayTaskError) and not isinstance(error.cause, SandboxError):
                raise
            return self._lost(job, index, _said(error))

    def _ended(self, index: int, answer: asyncio.Future[Verdict | None]) -> None:
        self._load[index] -= 1
        if not answer.cancelled():
            answer.exception()  # seen: nobody may be waiting for it any more

    def stop(self) -> None:
        """Close every sandbox; waits at most 20 s for the containers to go."""
        for waiting in self._silent.values():
            waiting.cancel()
        ray.wait([w.stop.remote() for w in self.workers], num_returns=len(self.workers), timeout=20)


def _said(error: BaseException) -> str:
    """An actor's own words, where it had any."""
    return str(error.cause if isinstance(error, RayTaskError) else error) or type(error).__name__
