"""The socket to a runner, with a deadline on every wait."""

import contextlib
import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from sandbox.config import Limits
from sandbox.errors import RunnerLost
from sandbox.runner.server import CANCEL, HITS_BYTES, MOST_RECORDS_BYTES, REPLY, REQUEST

MOST_HELLO_BYTES = 4096
_HELLO = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program's process ended, in the runner's (trusted) words."""

    timed_out: bool
    """Its deadline passed; otherwise it ended."""
    status: int
    """As `os.wait4` gives it."""
    wall: float
    """Seconds."""
    cpu: float
    """Seconds."""
    begun: bool
    """The program was reached; otherwise the failure is ours."""
    tampered: bool
    """The program was seen reaching for what coverage rests on."""
    cancelled: bool
    """The host asked for its death."""
    clean: bool
    """Nothing of the run was left behind."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a runner answers to one job."""

    ending: Ending
    hits: bytes
    """Byte i is 1 if statement i (from 1) was executed; trailing zeros left out."""
    records: bytes
    """What the child wrote, see `sandbox.runner.child`; not to be trusted."""


class Channel:
    """Requests and replies, in turn. After a RunnerLost it is of no more use."""

    def __init__(self, connection: socket.socket):
        self._connection = connection

    def hello(self, deadline: float) -> dict[str, Any]:
        """The runner's first words; `deadline` is a `time.monotonic`."""
        (length,) = _HELLO.unpack(self._receive(_HELLO.size, deadline))
        if length > MOST_HELLO_BYTES:
            raise RunnerLost("the runner's hello is malformed")
        try:
            return dict(json.loads(self._receive(length, deadline)))
        except (ValueError, TypeError) as error:
            raise RunnerLost("the runner's hello is malformed") from error

    def send(self, limits: Limits, coverage: bool, job: bytes, deadline: float) -> None:
        """Send one job; raises RunnerLost at the deadline at the latest."""
        head = REQUEST.pack(
            limits.wall_seconds,
            limits.cpu_seconds,
            limits.memory_mib,
            limits.output_kib,
            coverage,
            len(job),
        )
        self._send(head + job, deadline)

    def reply(self, deadline: float) -> Reply:
        """The reply to the job just sent; raises RunnerLost at the deadline at the latest."""
        *told, hits, records = REPLY.unpack(self._receive(REPLY.size, deadline))
        ending = Ending(*told)
        if hits > HITS_BYTES or records > MOST_RECORDS_BYTES:
            raise RunnerLost("the runner's reply is malformed")
        body = self._receive(hits + records, deadline)
        if not ending.begun and not ending.timed_out and not ending.cancelled:
            raise RunnerLost("the runner could not start the program's process")
        return Reply(ending, body[:hits], body[hits:])

    def cancel(self) -> None:
        """Have the program of the job just sent killed; a reply comes as ever."""
        with contextlib.suppress(OSError):  # a runner that is gone runs nothing
            self._connection.sendall(CANCEL)

    def close(self) -> None:
        """Close the socket: the runner at the other end stops whatever it does and exits."""
        self._connection.close()

    def _send(self, data: bytes, deadline: float) -> None:
        self._limit(deadline)
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise RunnerLost(_reason(error)) from error

    def _receive(self, length: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._limit(deadline)
            try:
                chunk = self._connection.recv(min(length - len(data), 1 << 20))
            except OSError as error:
                raise RunnerLost(_reason(error)) from error
            if not chunk:
                raise RunnerLost("the runner died")
            data += chunk
        return bytes(data)

    def _limit(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise RunnerLost("the runner did not answer in time")
        self._connection.settimeout(left)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "the runner did not answer in time"
    return f"the connection to the runner broke: {error}"
