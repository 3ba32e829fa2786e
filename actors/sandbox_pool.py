"""The sandbox pool: Ray actors that own warm sandboxes, and the driver's side that feeds them.

`SandboxWorker` runs only on nodes that advertise the resource `sandbox`, so that untrusted code
stays off the GPU nodes. `SandboxPool` sends each job to the worker with the fewest jobs under way.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.calls import answers, no_options
from actors.config import SandboxPoolConfig
from sandbox import (
    Job,
    Outcome,
    Sandbox,
    SandboxConfig,
    TestOutcome,
    TestResult,
    Verdict,
    reap_strays,
)

RESOURCE = "sandbox"
"""The custom Ray resource that marks a node as an execution node."""


class SandboxWorker:
    """Owns `slots` warm sandboxes and runs one job in each at a time.

    Lifecycle: `start()` warms every sandbox; `run()` waits for a free one; `stop()` closes them
    all. When the process dies instead, each sandbox's runner exits with its socket, and the actor
    that Ray starts in its place warms its own with the first job.
    """

    def __init__(self, config: SandboxConfig, slots: int, run: str, index: int) -> None:
        self._open = lambda i: Sandbox(config, slot=index * slots + i, run=run)
        self._slots = slots
        self._sandboxes: list[Sandbox] = []
        self._free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="sandbox")
        self._starting = threading.Lock()

    async def start(self) -> tuple[str, str]:
        """Clear away what dead runs left, build a missing image, warm every sandbox.

        Returns:
            The isolation in force (`docker` or `process`), and why it is that one.

        Raises:
            SandboxError: no sandbox can be started here; the message holds the remedy.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, self._start)
        return self._sandboxes[0].isolation, self._sandboxes[0].reason

    def _start(self) -> None:
        with self._starting:
            if self._sandboxes:
                return
            reap_strays()
            sandboxes = [self._open(i) for i in range(self._slots)]
            for sandbox in sandboxes:
                sandbox.start()
            self._sandboxes = sandboxes
            for sandbox in sandboxes:
                self._free.put(sandbox)

    async def run(self, job: Job) -> Verdict:
        """Run one job in the next free sandbox."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job)

    def _run(self, job: Job) -> Verdict:
        self._start()
        sandbox = self._free.get()
        try:
            return sandbox.run(job)
        finally:
            self._free.put(sandbox)

    def stop(self) -> None:
        """Close every sandbox and its container."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for sandbox in self._sandboxes:
            sandbox.close()


class SandboxPool:
    """The driver's handle on the sandbox workers: least-loaded dispatch, deadlines, retries.

    Example:
        async for verdict in pool.stream(jobs):
            print(verdict.job_id, verdict.outcome)
    """

    def __init__(self, workers: Sequence[Any], config: SandboxPoolConfig) -> None:
        self.workers = list(workers)
        self.config = config
        self._load = [0] * len(self.workers)
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
        """Warm every sandbox; returns the isolation in force and the reason for it."""
        calls = [worker.start.remote() for worker in self.workers]
        return (await answers("sandbox: start", calls, deadline_s))[0]

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

        A retry goes to a worker that has not failed this job, while there is one. Cancelling frees
        the slot; a program already running ends within its own limits, its verdict unread.

        Raises:
            TimeoutError: no verdict within `job_timeout_s`, though sandboxes have deadlines.
        """
        failed: set[int] = set()
        async with self._slots:
            for attempt in range(self.config.retries + 1):
                index = self._least_loaded(failed)
                verdict = await self._attempt(job, index)
                if verdict.outcome is not Outcome.infra_error or attempt == self.config.retries:
                    return verdict
                failed.add(index)
        raise AssertionError("unreachable: the last attempt returns")

    def _least_loaded(self, failed: set[int]) -> int:
        """The worker with the fewest jobs under way, of those not in `failed` if there are any."""
        able = [i for i in range(len(self.workers)) if i not in failed]
        return min(able or range(len(self.workers)), key=self._load.__getitem__)

    async def _attempt(self, job: Job, index: int) -> Verdict:
        call = self.workers[index].run.remote(job)
        answer = asyncio.ensure_future(call)
        # The load counts until the worker is done, which outlasts a wait that is cancelled.
        self._load[index] += 1
        answer.add_done_callback(lambda ended: self._ended(index, ended))
        try:
            return await asyncio.wait_for(asyncio.shield(answer), self.config.job_timeout_s)
        except TimeoutError:
            raise TimeoutError(
                f"sandbox-{index} gave no verdict on job {job.id} within "
                f"{self.config.job_timeout_s:.0f} s"
            ) from None
        except RayActorError as error:
            return Verdict(
                job.id,
                Outcome.infra_error,
                tests=(TestResult(TestOutcome.not_run),) * len(job.cases),
                error=f"sandbox-{index}: {error}",
                trusted_tests=job.assertions is None,
            )

    def _ended(self, index: int, answer: asyncio.Future[Verdict]) -> None:
        self._load[index] -= 1
        if not answer.cancelled():
            answer.exception()  # seen: nobody may be waiting for it any more

    def stop(self) -> None:
        """Close every sandbox; waits at most 20 s for the containers to go."""
        ray.wait([w.stop.remote() for w in self.workers], num_returns=len(self.workers), timeout=20)
