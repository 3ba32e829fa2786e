"""The fork server: one job at a time, one child per program, over one unix socket.

It is PID 1 of its container (or a process of its own), single-threaded, and trusts nothing that a
child left behind. Host and server take turns (see `wire`):

    hello     `HELLO` (length), JSON object; once, from the server
    request   `REQUEST` (limits, length), JSON job, which only the child decodes
    cancel    `CANCEL`, while the child runs
    reply     `REPLY` (how the process ended, lengths), statement hits, records

It exits when the socket closes, so it never outlives the host, however the host ended.
"""

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from . import child, tracing, values, zygote
from .confinement import MIB, Confinement
from .interpreter.program_run import run_program
from .interpreter.recursion import RecursionDepth
from .program import FILENAME
from .results import OutputLimit, ResultMemory
from .wire import (
    CANCEL,
    HELLO,
    MAX_RECORDS_BYTES,
    OUTPUT_LIMIT_STATUS,
    REPLY,
    REQUEST,
    WireLimits,
)

SWEEP_SECONDS = 2.0
"""How long the server tries to kill and reap what a program left behind. A killed process may not
get a processor for a while."""
STARTED, FORKING, TAMPERED = b"+", b"f", b"!"
"""Flags a child sets by writing them to the pipe; the first is one of the first two, which says
where the program runs: in the child, or in processes that the child forks."""
FAILED_STATUS = 94
"""Exit status of a child to which the kernel has refused something, such as a test's process."""

End = Literal["exit", "timeout", "cancelled", "closed"]


class Closed(Exception):
    """The host closed the socket."""


class Server:
    """Serves jobs from one connected socket until it closes."""

    def __init__(self, connection: socket.socket, first_uid: int | None):
        self.connection = connection
        self.confinement = Confinement(first_uid)
        self.results = ResultMemory()
        self.own_bytes = 0
        self.runs = 0
        # A program must not be able to take back that it started, or that it used something that
        # coverage relies on. So these flags go through a pipe, not through the shared memory.
        # Neither end blocks, so that no child hangs on a full pipe, nor the server on an empty one.
        self.flags_out, self.flags_in = os.pipe()
        os.set_blocking(self.flags_out, False)
        os.set_blocking(self.flags_in, False)
        self.tracer = tracing.Tracer(FILENAME, self.results.hits, self._report_tampering)
        self.depth = RecursionDepth()
        self.depth.follow_threads()

    def serve(self) -> None:
        """Answer requests; returns when the host closes the socket."""
        with open("/proc/self/statm", encoding="ascii") as sizes:
            self.own_bytes = int(sizes.read().split()[0]) * mmap.PAGESIZE
        try:
            while True:
                head = self._receive(REQUEST.size)
                if head == CANCEL:  # it came when its program had already ended
                    continue
                *limits, length = REQUEST.unpack(head)
                self.connection.sendall(self._run(WireLimits(*limits), self._receive(length)))
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

    def _run(self, limits: WireLimits, job: bytes) -> bytes:
        """Run one program, from fork to reply."""
        self.runs += 1
        # All children share the pipe's open file, and an earlier program may have made it block.
        os.set_blocking(self.flags_in, False)
        started = time.perf_counter()
        pid = zygote.fork()
        if pid == 0:
            self._child(limits, job)
        end = self._wait(pid, started + limits.wall_seconds)
        # The group, and the child itself in case it died before it led a group. Killing comes
        # before reaping: until then no other process can have this number.
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        clean, orphans_seconds = self._sweep()
        if end == "closed":
            raise Closed
        # A statement takes at least a byte of the source.
        hits, records = self.results.read(len(job), limits.max_records(len(job)))
        self.results.clear()
        program_started, tampered = self._take_flags(status)
        head = REPLY.pack(
            end == "timeout",
            status,
            time.perf_counter() - started,
            usage.ru_utime + usage.ru_stime + orphans_seconds,
            program_started,
            tampered,
            end == "cancelled",
            clean,
            len(hits),
            len(records),
        )
        return head + hits + records

    def _wait(self, pid: int, deadline: float) -> End:
        """Wait until the child exits, the deadline passes, or the host cancels or closes.

        `deadline` is a `time.perf_counter`. One `poll` waits for all of these: a process descriptor
        wakes it when the child exits (which SIGCHLD would do only with a handler and its races),
        the socket when the host sends or goes, and its own timeout at the deadline.
        """
        process = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(process, select.POLLIN)
            poll.register(self.connection, select.POLLIN | select.POLLRDHUP)
            while True:
                left = deadline - time.perf_counter()
                if left <= 0:
                    return "timeout"
                # In whole milliseconds; one more, so that it wakes after the deadline, not before.
                ready = dict(poll.poll(left * 1000 + 1))
                if process in ready:
                    return "exit"
                if ready:
                    event = ready[self.connection.fileno()]
                    cancelled = event == select.POLLIN and self._receive(REQUEST.size) == CANCEL
                    return "cancelled" if cancelled else "closed"
        finally:
            os.close(process)

    def _sweep(self) -> tuple[bool, float]:
        """Kill and reap whatever the child left behind.

        Returns whether nothing is left, and the processor time of what was reaped [s]. The server
        adopts orphans (`confinement`), so it has children exactly as long as something of the run
        lives. Most programs leave nothing, and the first `wait4` says so.
        """
        seconds = 0.0
        deadline = time.perf_counter() + SWEEP_SECONDS
        while True:
            try:
                while True:
                    process, _, usage = os.wait4(-1, os.WNOHANG)
                    if not process:
                        break
                    seconds += usage.ru_utime + usage.ru_stime
            except ChildProcessError:
                return True, seconds
            if time.perf_counter() > deadline:
                return False, seconds
            self._kill_remaining()
            time.sleep(0.0005)

    def _kill_remaining(self) -> None:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
            for pid in children.read().split():
                os.kill(int(pid), signal.SIGKILL)
        if self.confinement.first_uid is None:
            return
        # Only the server's own children are listed there. A helper with the run's uid kills all
        # the others in one call; the server itself may signal every process, so it cannot do that.
        helper = os.fork()
        if helper == 0:
            try:
                uid = self.confinement.first_uid + self.runs
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                os.kill(-1, signal.SIGKILL)  # every process of that uid, this helper included
            finally:
                os._exit(0)
        os.waitpid(helper, 0)

    def _take_flags(self, status: int) -> tuple[bool, bool]:
        """Whether the program started, and whether it tampered; empties the pipe.

        `status` is how the child ended (`os.wait4`).
        """
        written = bytearray()
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.flags_out, 1 << 16):
                written += chunk
        # An honest program leaves one flag, set before it starts. A program can write to the pipe
        # itself, and could fill it so that TAMPERED does not fit any more: so everything else
        # counts as tampering.
        flag, tampered = bytes(written[:1]), bytes(written) not in (b"", STARTED, FORKING)
        # A child that is FORKING runs no line of the program, which so cannot choose this status.
        failed = flag == FORKING and status == FAILED_STATUS << 8
        return flag in (STARTED, FORKING) and not failed, tampered

    def _child(self, limits: WireLimits, job: bytes) -> NoReturn:
        """Run the job in the child, which then exits."""
        status = 1
        try:
            os.setsid()  # a group of its own, which the server can kill as a whole
            # Without these the program can neither speak to the host nor read the flags.
            os.close(self.connection.fileno())
            os.close(self.flags_out)
            self._perform(limits, job)
            status = 0
        except OutputLimit:
            status = OUTPUT_LIMIT_STATUS
        except OSError:
            status = FAILED_STATUS
        finally:
            os._exit(status)

    def _perform(self, limits: WireLimits, job: bytes) -> None:
        """Decode the job, confine this process, run the program."""
        fields = values.loads(job)
        # The limit is on address space, of which the child has all of the server's from the start.
        memory_bytes = self.own_bytes + limits.memory_mib * MIB
        self.confinement.enter(self.runs, limits.cpu_seconds, memory_bytes)
        # One byte more than a program may print, so that too much can be told from just enough.
        file_bytes = (limits.output_kib << 10) + 1
        forking = child.reads_stdin(fields)
        if not forking:
            self.confinement.seal(file_bytes)
        self._set_flag(FORKING if forking else STARTED)
        seal = self.confinement.seal
        self._run_job(fields, limits, len(job), zygote.fork, lambda cpu: seal(file_bytes, cpu))

    def _run_job(
        self,
        fields: dict[str, Any],
        limits: WireLimits,
        job_bytes: int,
        fork: Callable[[], int],
        seal: Callable[[int], None],
    ) -> None:
        self.results.max_records = limits.max_records(job_bytes)
        fields["cpu_seconds"], fields["output_bytes"] = limits.cpu_seconds, limits.output_kib << 10
        tracer = self.tracer if limits.coverage else None
        child.run(fields, self.results.append, tracer, self.depth, fork, seal)

    def rehearse(self, job: bytes) -> None:
        """Do in this process what a child does, without confining it, and discard the results.

        The process of a single test is rehearsed too; it has no parent that waits for it.
        """
        limits = WireLimits(1, 1, 1, 1, coverage=tracing.METHOD == "monitoring")
        fields = values.loads(job)
        if child.reads_stdin(fields):
            program = child.load(fields["source"], self.results.append, self.depth)
            assert program is not None
            if limits.coverage:
                self.tracer.arm(program.code)
            # Hidden, if some package on the host has loaded it: it cannot shut down twice.
            threading = sys.modules.pop("threading", None)
            run_program(program.code, self.depth, lambda error: program.emit_error(0, error))
            if threading is not None:
                sys.modules["threading"] = threading
        else:
            self._run_job(fields, limits, len(job), zygote.fork, lambda _: None)
        self.tracer.disarm()
        self.depth.end()
        self._report_tampering()
        self._take_flags(0)
        self.results.read(len(job), MAX_RECORDS_BYTES)
        self.results.clear()

    def _report_tampering(self) -> None:
        self._set_flag(TAMPERED)

    def _set_flag(self, flag: bytes, write: Callable[[int, bytes], int] = os.write) -> None:
        # `write` is bound before any program runs, as a program may replace `os.write`.
        with contextlib.suppress(BlockingIOError):
            write(self.flags_in, flag)


def main() -> None:
    """Connect to the host, say hello, serve.

    The second command line argument is a JSON object: `socket`, the path of the host's socket (in a
    container), or `descriptor`, the number of an inherited one; `first_uid` (run n has the uid
    `first_uid + n`) or null; and `preload`, the modules to hold for programs that import them.
    """
    settings = json.loads(sys.argv[2])
    if "descriptor" in settings:
        connection = socket.socket(fileno=settings["descriptor"])
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(settings["socket"])
    devnull = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(devnull, standard)
    server = Server(connection, settings["first_uid"])
    hello = {
        "token": os.environ.pop("STEPCODER_TOKEN", ""),
        "python": sys.version.split()[0],
        "coverage": tracing.METHOD,
    }
    text = json.dumps(hello).encode()
    # Before the preparation, which takes a while: the host's first job waits in the socket.
    connection.sendall(HELLO.pack(len(text)) + text)
    zygote.prepare(server.rehearse, settings["preload"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's to handle
    server.serve()
