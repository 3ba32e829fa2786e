"""SandboxWorker: several warm sandboxes in one Ray actor."""

from __future__ import annotations

import asyncio
import queue
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from actors.runs.logs import forward_logs
from sandbox import Cancelled, Job, Sandbox, SandboxConfig, Verdict
from sandbox.backends.docker_client import reap_strays

_CANCEL_POLL_S = 0.01
"""Time between two attempts to cancel a call that is about to begin or to end [seconds]."""


class Isolation(NamedTuple):
    """How a started worker isolates programs."""

    backend: str
    """`docker` or `process`."""
    reason: str
    """Why it is that one."""
    life: str
    """Names the worker's process among all that it had or will have."""


Ticket = tuple[str, int]
"""Names a call: the caller, and the call's number among the caller's."""


@dataclass
class Call:
    """One call of `SandboxWorker.run`, waiting or under way."""

    job: Job
    backend: str | None
    """The isolation that the job must have; None takes what the configuration chooses."""
    sandbox: Sandbox | None = None
    """Where it runs; None while it waits for a free sandbox."""
    cancelled: bool = False


class SandboxWorker:
    """Owns `slots` warm sandboxes and runs one job in each at a time.

    Lifecycle: `start()` warms every sandbox; `run()` waits for a free one; `stop()` closes them
    all. When the process is killed instead, each sandbox's runner exits because its socket closes,
    and the actor that Ray restarts warms new sandboxes with its first job.
    """

    def __init__(self, config: SandboxConfig, slots: int, run: str, index: int) -> None:
        forward_logs(f"sandbox-{index}")
        self._config = config
        self._run_name = run
        self._first = index * slots
        self._slots = slots
        self._sandboxes: list[Sandbox] = []
        self._free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="sandbox")
        self._starting = threading.Lock()
        self._calls: dict[Ticket, Call] = {}
        self._life = uuid.uuid4().hex

    def __repr__(self) -> str:
        """What Ray's dashboard shows; it asks once, after `__init__`."""
        index = self._first // self._slots
        return f"sandbox worker {index} of run {self._run_name}, {self._slots} slots"

    async def start(self, backend: str | None) -> Isolation:
        """Remove what dead runs left behind, build a missing image, warm every sandbox.

        Args:
            backend: the isolation that is required; None lets the configuration choose. The pool
                names the one from before when an actor was restarted.

        Raises:
            SandboxError: no sandbox can be started here; the message holds the remedy.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, self._start, backend)
        return Isolation(self._sandboxes[0].isolation, self._sandboxes[0].reason, self._life)

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

    async def run(self, job: Job, ticket: Ticket, backend: str | None) -> Verdict | None:
        """Run one job in the next free sandbox; None if it was cancelled.

        Args:
            job: what to run.
            ticket: names the call, for `cancel`.
            backend: as for `start`. The sandboxes are started first where this process has none.
        """
        call = self._calls[ticket] = Call(job, backend)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, call)
        finally:
            del self._calls[ticket]

    async def abandon(self, caller: str) -> None:
        """Cancel every call of a caller that died."""
        tickets = [ticket for ticket in self._calls if ticket[0] == caller]
        await asyncio.gather(*map(self.cancel, tickets))

    async def cancel(self, ticket: Ticket) -> None:
        """Kill the program of that call, or keep it from starting, so that its slot is free."""
        call = self._calls.get(ticket)
        if call is None:
            return
        call.cancelled = True
        while ticket in self._calls:
            if call.sandbox and call.sandbox.cancel(call.job):
                return
            # The call's thread is between taking a sandbox and starting the program, or already
            # past its end; neither can be interrupted, and both are over in no time.
            await asyncio.sleep(_CANCEL_POLL_S)

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
