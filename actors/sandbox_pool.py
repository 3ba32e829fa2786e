"""The sandbox pool: Ray actors that own warm sandboxes, and the driver's side that feeds them.

`SandboxWorker` runs only on nodes that advertise the resource `sandbox`, so that untrusted code
stays off the GPU nodes. `SandboxPool` sends each job to the worker with the fewest jobs under way.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.calls import answers
from actors.config import SandboxPoolConfig
from sandbox import Job, Outcome, Sandbox, SandboxConfig, Verdict, reap_strays

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
    """The driver's handle on the sandbox workers: least-loaded dispatch, deadlines, retries."""

    def __init__(self, workers: Sequence[Any], config: SandboxPoolConfig) -> None:
        self.workers = list(workers)
        self.config = config
        self._load = [0] * len(self.workers)
        self._slots = asyncio.Semaphore(len(self.workers) * config.slots_per_worker)

    @classmethod
    def launch(cls, sandbox: SandboxConfig, config: SandboxPoolConfig, run: str) -> SandboxPool:
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
            ).remote(sandbox, config.slots_per_worker, run, i)
            for i in range(config.workers)
        ]
        return cls(workers, config)

    async def start(self, deadline_s: float) -> tuple[str, str]:
        """Warm every sandbox; returns the isolation in force and the reason for it."""
        calls = [worker.start.remote() for worker in self.workers]
        return (await answers("sandbox: start", calls, deadline_s))[0]

    async def run(self, job: Job) -> Verdict:
        """One verdict for one job; an infrastructure fault is retried, then returned as such.

        Raises:
            TimeoutError: no verdict within `job_timeout_s`, though sandboxes have deadlines.
        """
        async with self._slots:
            for attempt in range(self.config.retries + 1):
                verdict = await self._attempt(job)
                if verdict.outcome is not Outcome.infra_error or attempt == self.config.retries:
                    return verdict
        raise AssertionError("unreachable: the last attempt returns")

    async def _attempt(self, job: Job) -> Verdict:
        index = min(range(len(self.workers)), key=self._load.__getitem__)
        self._load[index] += 1
        try:
            call = self.workers[index].run.remote(job)
            return await asyncio.wait_for(asyncio.shield(call), self.config.job_timeout_s)
        except TimeoutError:
            raise TimeoutError(
                f"sandbox-{index} gave no verdict on job {job.id} within "
                f"{self.config.job_timeout_s:.0f} s"
            ) from None
        except RayActorError as error:
            return Verdict(job.id, Outcome.infra_error, tests=(), error=f"sandbox-{index}: {error}")
        finally:
            self._load[index] -= 1

    def stop(self) -> None:
        """Close every sandbox; waits at most 20 s for the containers to go."""
        ray.wait([w.stop.remote() for w in self.workers], num_returns=len(self.workers), timeout=20)
