"""SandboxWorker: several warm sandboxes in one Ray actor."""

from __future__ import annotations

import asyncio
import queue
import threading
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from actors.runs.logs import forward_logs
from actors.sandboxes.parcels import pack, unpack
from sandbox import Cancelled, Job, Sandbox, SandboxConfig, SandboxError, Verdict
from sandbox.backends.docker_client import reap_strays

_REMEMBERED = 200
"""Cancelled calls that are remembered: Ray may deliver a call after its cancellation."""
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
        self._parcels: dict[Ticket, list[bytes]] = {}
        """Pieces of jobs that have not all come, and of verdicts that have not all been fetched."""
        self._cancelled: deque[Ticket] = deque(maxlen=_REMEMBERED)
        """Calls that were not here when they were cancelled: over, or to come."""
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

    async def run(
        self, job: Job | int, ticket: Ticket, backend: str | None
    ) -> Verdict | int | None:
        """Run one job in the next free sandbox; None if it was cancelled.

        Args:
            job: what to run, or the number of its pieces that `hold` was given.
            ticket: names the call, for `cancel`.
            backend: as for `start`. The sandboxes are started first where this process has none.

        Returns:
            The verdict, or the number of its pieces, which are `fetch`ed.

        Raises:
            SandboxError: pieces of the job are missing, as in a worker that was restarted.
        """
        if ticket in self._cancelled:
            return None
        if isinstance(job, int):
            pieces = self._parcels.pop(ticket, [])
            if len(pieces) != job:
                raise SandboxError(f"{len(pieces)} of {job} pieces of a job are here")
            job = unpack(pieces)
            assert isinstance(job, Job)
        call = self._calls[ticket] = Call(job, backend)
        try:
            verdict = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._run, call
            )
        finally:
            del self._calls[ticket]
        if not (pieces := pack(verdict)) or call.cancelled:
            return verdict
        self._parcels[ticket] = pieces
        return len(pieces)

    async def hold(self, ticket: Ticket, *pieces: bytes) -> None:
        """Take the next pieces of a large job, which `run` then names by their number."""
        if ticket not in self._cancelled:
            self._parcels.setdefault(ticket, []).extend(pieces)

    async def fetch(self, ticket: Ticket, number: int) -> bytes:
        """Piece `number` of a large verdict; the last one forgets them all.

        Raises:
            SandboxError: it is not here, as in a worker that was restarted.
        """
        pieces = self._parcels.get(ticket, [])
        if number >= len(pieces):
            raise SandboxError("the pieces of a verdict are gone")
        if number == len(pieces) - 1:
            del self._parcels[ticket]
        return pieces[number]

    async def abandon(self, caller: str) -> None:
        """Cancel every call of a caller that died."""
        known = self._calls.keys() | self._parcels.keys()
        tickets = [ticket for ticket in known if ticket[0] == caller]
        await asyncio.gather(*map(self.cancel, tickets))

    async def cancel(self, ticket: Ticket) -> None:
        """Kill the program of that call, or keep it from starting, so that its slot is free."""
        self._parcels.pop(ticket, None)
        call = self._calls.get(ticket)
        if call is None:
            self._cancelled.append(ticket)
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
