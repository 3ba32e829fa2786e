"""The fork server: one job at a time, one child per program, over one unix socket.

It is PID 1 of its container (or a process of its own), single-threaded, and trusts nothing the
child left. Host and server speak in turn:

    request   `REQUEST` (limits, length), JSON job (opaque here: the child reads it)
    cancel    `CANCEL`, while the child runs
    reply     `REPLY` (the ending, lengths), statement hits (a byte each), records (bytes)

It ends when the socket closes; so it never outlives the host, however that ended.
"""

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from . import child, tracing, values, zygote
from .confinement import MIB, Confinement

REQUEST = struct.Struct("<dIII?I")
"""Wall seconds, CPU seconds, MiB of memory, KiB of output, coverage; length of the job."""
CANCEL = REQUEST.pack(0, 0, 0, 0, False, 0)
"""No request: the program that runs now, if one does, is to be killed."""
REPLY = struct.Struct("<?idd????II")
"""Deadline passed; status as `os.wait4` gives it; wall and CPU seconds; begun, tampered, cancelled,
clean (see `sandbox.channel.Ending`); lengths of hits and records."""
HITS_BYTES = 1 << 16
MOST_RECORDS_BYTES = 64 << 20
SWEEPS = 50
OUTPUT_LIMIT_STATUS = 93
BEGUN, TAMPERED = b"+", b"!"
_LENGTH = struct.Struct("<Q")


class Closed(Exception):
    """The host went away."""


class Area:
    """Memory shared with the child: a byte per statement, the records' length, the records."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, HITS_BYTES + _LENGTH.size + MOST_RECORDS_BYTES)
        self.most = MOST_RECORDS_BYTES
        self.hits = memoryview(self.memory)[:HITS_BYTES]

    def clear(self) -> None:
        """All zero again: nothing of one run is there for the next."""
        try:
            self.memory.madvise(mmap.MADV_REMOVE)
        except OSError:  # a kernel that has no such call: slower, and the same
            self.memory.seek(0)
            while self.memory.tell() < len(self.memory):
                self.memory.write(bytes(min(MIB, len(self.memory) - self.memory.tell())))

    def append(self, kind: str, index: int, text: str) -> None:
        """Add one record; called in the child."""
        line = f"{kind} {index} {text}\n".encode("utf-8", "backslashreplace")
        (length,) = _LENGTH.unpack_from(self.memory, HITS_BYTES)
        if length + len(line) > self.most:
            raise child.OutputLimit
        start = HITS_BYTES + _LENGTH.size + length
        self.memory[start : start + len(line)] = line
        _LENGTH.pack_into(self.memory, HITS_BYTES, length + len(line))

    def read(self, most_hits: int, most_records: int) -> tuple[bytes, bytes]:
        """The hits, up to the last of the first `most_hits`, and at most so many bytes of records,
        whatever the child says that there are; in the server.
        """
        hits = self.memory[: min(most_hits, HITS_BYTES)]
        (length,) = _LENGTH.unpack_from(self.memory, HITS_BYTES)
        start = HITS_BYTES + _LENGTH.size
        records = self.memory[start : start + min(length, most_records)]
        return hits[: hits.rfind(b"\1") + 1], records


class Limits(NamedTuple):
    """Of one run, as `REQUEST` has them."""

    wall_seconds: float
    cpu_seconds: int
    memory_mib: int
    output_kib: int
    coverage: bool

    def most_records(self, body_bytes: int) -> int:
        """Bytes that the records of a job may have."""
        return min(MOST_RECORDS_BYTES, (self.output_kib << 10) + 16 * body_bytes)


class Server:
    """Serves jobs from one connected socket until it closes."""

    def __init__(self, connection: socket.socket, first_uid: int | None):
        self.connection = connection
        self.confinement = Confinement(first_uid)
        self.area = Area()
        self.own_bytes = 0
        self.runs = 0
        # What a child must not be able to take back: that its program began, that it tampered.
        self.pipe, self.pipe_end = os.pipe()
        os.set_blocking(self.pipe, False)
        os.set_blocking(self.pipe_end, False)
        self.tracer = tracing.Tracer(child.FILENAME, self.area.hits, self._report)

    def serve(self) -> None:
        """Answer requests; returns when the host closes the socket."""
        with open("/proc/self/statm", encoding="ascii") as sizes:
            self.own_bytes = int(sizes.read().split()[0]) * mmap.PAGESIZE
        try:
            while True:
                head = self._receive(REQUEST.size)
                if head == CANCEL:  # too late: that program had ended
                    continue
                *limits, length = REQUEST.unpack(head)
                self.connection.sendall(self._run(Limits(*limits), self._receive(length)))
        except (Closed, ConnectionError):
            return

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            chunk = self.connection.recv(min(length - len(data), 1 << 20))
            if not chunk:
                raise Closed
            data += chunk
        return bytes(data)

    def _run(self, limits: Limits, body: bytes) -> bytes:
        """One program, from fork to reply."""
        self.runs += 1
        os.set_blocking(self.pipe_end, False)  # all children share it, and one may have changed it
        began = time.perf_counter()
        pid = zygote.fork()
        if pid == 0:
            self._child(limits, body)
        why = self._wait(pid, began + limits.wall_seconds)
        for stop in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                stop(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        clean = self._sweep()
        if why == "closed":
            raise Closed
        # A statement takes at least a byte of the source.
        hits, records = self.area.read(len(body), limits.most_records(len(body)))
        self.area.clear()
        signals = self._signals()
        wall, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
        told = (BEGUN in signals, TAMPERED in signals, why == "cancelled", clean)
        told += (len(hits), len(records))
        return REPLY.pack(why == "timeout", status, wall, cpu, *told) + hits + records

    def _wait(self, pid: int, deadline: float) -> str:
        """Until the child ends: "exit", the deadline passes: "timeout", or the host wants no more
        of it: "cancelled", or goes: "closed"."""
        process = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(process, select.POLLIN)
            poll.register(self.connection, select.POLLIN | select.POLLRDHUP)
            while True:
                left = deadline - time.perf_counter()
                if left <= 0:
                    return "timeout"
                ready = dict(poll.poll(left * 1000 + 1))
                if process in ready:
                    return "exit"
                if ready:
                    said = ready[self.connection.fileno()]
                    cancelled = said == select.POLLIN and self._receive(REQUEST.size) == CANCEL
                    return "cancelled" if cancelled else "closed"
        finally:
            os.close(process)

    def _sweep(self) -> bool:
        """Kill and reap whatever the child left; False if something is still there."""
        for attempt in range(SWEEPS):
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return True
            if attempt:
                time.sleep(0.001)
            self._kill_the_left()
        return False

    def _kill_the_left(self) -> None:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
            for left in children.read().split():
                os.kill(int(left), signal.SIGKILL)
        if self.confinement.first_uid is None:
            return
        helper = os.fork()
        if helper == 0:
            try:
                uid = self.confinement.first_uid + self.runs
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                os.kill(-1, signal.SIGKILL)  # all of that uid, and this helper with them
            finally:
                os._exit(0)
        os.waitpid(helper, 0)

    def _signals(self) -> bytes:
        """What the child of this run put into the pipe."""
        signals = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.pipe, 1 << 16):
                signals = bytes({*signals, *chunk})
        return signals

    def _child(self, limits: Limits, body: bytes) -> None:
        """In the child; never returns."""
        status = 1
        try:
            os.setsid()
            os.close(self.connection.fileno())
            os.close(self.pipe)
            self._perform(limits, body, self.confinement.enter)
            status = 0
        except child.OutputLimit:
            status = OUTPUT_LIMIT_STATUS
        finally:
            os._exit(status)

    def _perform(
        self, limits: Limits, body: bytes, confine: Callable[..., None]
    ) -> tuple[int, int] | None:
        """Read the job, confine this process, run the program; returns the files it opened."""
        job = values.loads(body)
        output_bytes = limits.output_kib << 10
        self.area.most = limits.most_records(len(body))
        job["output_bytes"] = output_bytes
        files, file_bytes = None, output_bytes
        if job["fn_name"] is None and job["setup"] is None:
            files = child.memory_files()
            file_bytes = max(output_bytes, len(body))
        memory_bytes = self.own_bytes + limits.memory_mib * MIB
        confine(self.runs, limits.cpu_seconds, memory_bytes, file_bytes)
        self._signal(BEGUN)
        child.run(job, self.area.append, self.tracer if limits.coverage else None, files)
        return files

    def rehearse(self, body: bytes) -> None:
        """Do in this process what a child would, save confining itself; forget what came of it."""
        limits = Limits(1, 1, 1, 1, coverage=tracing.METHOD == "monitoring")
        for file in self._perform(limits, body, lambda *_: None) or ():
            os.close(file)
        self.tracer.disarm()
        self._report()
        self._signals()
        self.area.read(len(body), MOST_RECORDS_BYTES)
        self.area.clear()

    def _report(self) -> None:
        self._signal(TAMPERED)

    def _signal(self, signal_byte: bytes, write: Callable[[int, bytes], int] = os.write) -> None:
        # `os` is the program's as well: what it puts there in place of `write` is not called.
        with contextlib.suppress(BlockingIOError):
            write(self.pipe_end, signal_byte)


def main() -> None:
    """Connect to the host, say hello, serve.

    The second argument is a JSON object: `socket`, the path of the host's (in a container), or
    `descriptor`, the number of an inherited one; and `first_uid` (run n gets this uid + n) or null.
    """
    told = json.loads(sys.argv[2])
    if "descriptor" in told:
        connection = socket.socket(fileno=told["descriptor"])
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(told["socket"])
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = Server(connection, told["first_uid"])
    hello = {
        "token": os.environ.pop("STEPCODER_TOKEN", ""),
        "python": sys.version.split()[0],
        "coverage": tracing.METHOD,
    }
    text = json.dumps(hello).encode()
    connection.sendall(struct.pack("<I", len(text)) + text)
    zygote.prepare(server.rehearse)
    server.serve()
