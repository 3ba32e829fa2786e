"""The socket to a runner, with a deadline on every wait."""

import contextlib
import json
import socket
import time
from dataclasses import dataclass
from typing import Any

from sandbox.config import Limits
from sandbox.errors import RunnerLost
from sandbox.runner.wire import (
    CANCEL,
    HELLO,
    HITS_BYTES,
    MAX_HELLO_BYTES,
    MAX_RECORDS_BYTES,
    REPLY,
    REQUEST,
    WireLimits,
)


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a program's process ended, as the runner observed it; the program cannot forge it.

    The fields are in the order of `sandbox.runner.wire.REPLY`.
    """

    timed_out: bool
    """Its deadline passed before it exited."""
    status: int
    """As `os.wait4` returns it."""
    wall_seconds: float
    cpu_seconds: float
    started: bool
    """The program was reached, on every test that ran; otherwise the sandbox failed, not the
    program."""
    tampered: bool
    """The program was seen using something that coverage relies on."""
    cancelled: bool
    """The host had it killed."""
    clean: bool
    """No process of the run was left behind."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A runner's answer to one job."""

    exit: ProcessExit
    hits: bytes
    """Byte i is 1 if statement i (from 1) was executed; trailing zeros left out."""
    records: bytes
    """What the child wrote, see `sandbox.runner.child`; untrusted."""


class Channel:
    """Requests and replies, in turn. After a RunnerLost it cannot be used any more.

    Every deadline is a `time.monotonic`.
    """

    def __init__(self, connection: socket.socket):
        self._connection = connection

    def hello(self, deadline: float) -> dict[str, Any]:
        """The runner's first message.

        Raises:
            RunnerLost: it is malformed, or did not come in time.
        """
        (length,) = HELLO.unpack(self._receive(HELLO.size, deadline))
        if length > MAX_HELLO_BYTES:
            raise RunnerLost("the runner's hello is malformed")
        try:
            return dict(json.loads(self._receive(length, deadline)))
        except (ValueError, TypeError) as error:
            raise RunnerLost("the runner's hello is malformed") from error

    def send(self, limits: Limits, coverage: bool, job: bytes, deadline: float) -> None:
        """Send one job.

        Raises:
            RunnerLost: the runner is gone, or did not take the job in time.
        """
        wire_limits = WireLimits(
            limits.wall_seconds,
            limits.cpu_seconds,
            limits.memory_mib,
            limits.output_kib,
            coverage,
        )
        self._send(REQUEST.pack(*wire_limits, len(job)) + job, deadline)

    def reply(self, deadline: float) -> Reply:
        """The reply to the job just sent.

        Raises:
            RunnerLost: the runner is gone, did not reply in time, or could not start the program.
        """
        *fields, hits, records = REPLY.unpack(self._receive(REPLY.size, deadline))
        exit = ProcessExit(*fields)
        if hits > HITS_BYTES or records > MAX_RECORDS_BYTES:
            raise RunnerLost("the runner's reply is malformed")
        body = self._receive(hits + records, deadline)
        if not exit.started and not exit.timed_out and not exit.cancelled:
            raise RunnerLost("the runner could not start the program's process")
        return Reply(exit, body[:hits], body[hits:])

    def cancel(self) -> None:
        """Have the program of the job just sent killed; its reply comes all the same."""
        with contextlib.suppress(OSError):  # a runner that is gone runs no program
            self._connection.sendall(CANCEL)

    def close(self) -> None:
        """Close the socket, at which the runner kills its program and exits."""
        self._connection.close()

    def _send(self, data: bytes, deadline: float) -> None:
        self._set_timeout(deadline)
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise RunnerLost(_reason(error)) from error

    def _receive(self, length: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            # Anew for each piece: otherwise a runner that sends byte by byte could take for ever.
            self._set_timeout(deadline)
            try:
                chunk = self._connection.recv(min(length - len(data), 1 << 20))
            except OSError as error:
                raise RunnerLost(_reason(error)) from error
            if not chunk:
                raise RunnerLost("the runner died")
            data += chunk
        return bytes(data)

    def _set_timeout(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise RunnerLost("the runner did not answer in time")
        self._connection.settimeout(left)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "the runner did not answer in time"
    return f"the connection to the runner broke: {error}"
