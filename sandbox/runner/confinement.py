"""What server and child give up for good: privileges, resources and system calls."""

import ctypes
import os
import resource

from .interpreter.recursion import STACK_BYTES
from .syscall_filter import ARCHITECTURES, child_filter, server_filter

MIB = 1 << 20
OPEN_FILES = 64
MAX_THREADS = 128
"""Threads of one program; counted by uid, so set only where each run has a uid of its own."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 1, 4, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SIGKILL = 9
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_WRITES = 0b1_1111_1111_0010
"""Landlock's first version: every right except executing, reading files and listing folders."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    """`struct sock_fprog`; holds on to its instructions, which the kernel reads at installation."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    def __init__(self, instructions: bytes):
        self.buffer = ctypes.create_string_buffer(instructions, len(instructions))
        super().__init__(len(instructions) // 8, ctypes.cast(self.buffer, ctypes.c_void_p))


class Confinement:
    """Confines the server when it is made, a child with `enter`, and whatever runs a program's code
    with `seal`.

    Children inherit limits and filters. So the server gives up, once, all that it does not need
    itself; a child, for every program, what is left.
    """

    def __init__(self, first_uid: int | None):
        """Confine the calling process, the server, for good.

        `first_uid`: see `enter`; None where the server is not root and runs have its own user.

        Raises:
            RuntimeError: there is no system call filter for this processor.
            OSError: the kernel refuses.
        """
        name = os.uname().machine
        if name not in ARCHITECTURES:
            supported = ", ".join(ARCHITECTURES)
            raise RuntimeError(
                f"no system call filter for processor {name!r} (there is one for {supported})"
            )
        self.first_uid = first_uid
        self._arch = ARCHITECTURES[name]
        _adopt_orphans()
        for kind in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_MEMLOCK):
            resource.setrlimit(kind, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        stack = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
        # The hard limit stays: many programs raise the soft one in their first lines.
        resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        if first_uid is None:
            _deny_writing()
        _install(_Filter(server_filter(self._arch)))

    def enter(self, run: int, cpu_seconds: int, memory_bytes: int) -> None:
        """Take privileges and resources from the calling process, a child, for good.

        `run` is the run's number, from which it gets the uid `first_uid + run`: no two runs of a
        container share one, so that nothing of one run can be reached by the next. It may still
        start processes, which inherit all this.

        Raises:
            OSError: the kernel refuses.
        """
        limit = resource.setrlimit
        # SIGXCPU at the limit; SIGKILL a second later for a program that ignores it.
        limit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        if self.first_uid is not None:
            uid = self.first_uid + run
            limit(resource.RLIMIT_NPROC, (MAX_THREADS, MAX_THREADS))
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        # It dies with the server, however that ends; and nobody can trace or dump it.
        _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        limit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))

    def seal(self, file_bytes: int, cpu_seconds: int | None = None) -> None:
        """Take what is left from the calling process, which then runs the program's code.

        It is what `enter` was called in, or a child of that: `cpu_seconds` is then its own limit.

        Raises:
            OSError: the kernel refuses.
        """
        limit = resource.setrlimit
        if cpu_seconds is not None:
            limit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
            _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # a fork takes it back
        limit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        _install(_Filter(child_filter(self._arch, os.getpid())))


def _install(program: _Filter) -> None:
    if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter")


def _deny_writing() -> None:
    """Deny changes to the file system with Landlock, where the kernel has it.

    For the process backend only: a container's file system is read-only already.
    """
    rights = ctypes.c_uint64(_LANDLOCK_WRITES)
    size = ctypes.c_size_t(ctypes.sizeof(rights))
    rules = _libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(rights), size, 0)
    if rules < 0:
        return  # the kernel is older than 5.13, or Landlock is switched off
    _libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _adopt_orphans() -> None:
    """Make the calling process the parent of every descendant whose own parent dies.

    So whatever a program leaves behind can be found and reaped (`server.Server._sweep`).
    """
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
