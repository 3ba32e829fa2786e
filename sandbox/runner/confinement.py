"""What a child gives up before it runs a program: privileges, resources and system calls."""

import ctypes
import os
import platform
import resource
import struct
from errno import ENOSYS, EPERM
from typing import NamedTuple

MIB = 1 << 20
OPEN_FILES = 64
TASKS = 32
"""Threads of one program, by its uid (only where each run has a uid of its own)."""
STACK_BYTES = 64 * MIB

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 1, 4, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SIGKILL = 9
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_WRITES = 0b1_1111_1111_0010
"""Every right of its first version save executing, reading files and listing folders."""

_libc = ctypes.CDLL(None, use_errno=True)


class Machine(NamedTuple):
    """One processor architecture as seccomp sees it."""

    audit_arch: int
    clone: int
    clone3: int
    denied: tuple[int, ...]


# Denied with EPERM. New processes and programs; sockets (AF_VSOCK reaches a hypervisor in spite of
# `--network none`); signals to others; everything by which one run could leave something to the
# next (System V IPC, message queues, keyrings); and what widens the kernel's attack surface.
# fmt: off
_X86_64 = Machine(0xC000003E, 56, 435, (
    41, 53,                        # socket socketpair
    57, 58, 59, 322,               # fork vfork execve execveat
    101, 310, 311,                 # ptrace process_vm_readv process_vm_writev
    62, 200, 424, 434, 438,        # kill tkill pidfd_send_signal pidfd_open pidfd_getfd
    29, 68, 64, 240,               # shmget msgget semget mq_open
    112, 109, 157,                 # setsid setpgid prctl
    319, 425, 323, 298, 321,       # memfd_create io_uring_setup userfaultfd perf_event_open bpf
    248, 249, 250,                 # add_key request_key keyctl
    272, 308, 165,                 # unshare setns mount
    428, 429, 430, 442,            # open_tree move_mount fsopen mount_setattr
    86, 265, 88, 266, 133, 259,    # link linkat symlink symlinkat mknod mknodat
    90, 91, 268, 452,              # chmod fchmod fchmodat fchmodat2
    141, 203, 144, 251,            # setpriority sched_setaffinity sched_setscheduler ioprio_set
    294, 253,                      # inotify_init1 inotify_init
    135, 300, 304, 303,            # personality fanotify_init open_by_handle_at name_to_handle_at
    446, 447,                      # landlock_restrict_self memfd_secret
))
_AARCH64 = Machine(0xC00000B7, 220, 435, (
    198, 199,                      # socket socketpair
    221, 281,                      # execve execveat
    117, 270, 271,                 # ptrace process_vm_readv process_vm_writev
    129, 130, 424, 434, 438,       # kill tkill pidfd_send_signal pidfd_open pidfd_getfd
    194, 186, 190, 180,            # shmget msgget semget mq_open
    157, 154, 167,                 # setsid setpgid prctl
    279, 425, 282, 241, 280,       # memfd_create io_uring_setup userfaultfd perf_event_open bpf
    217, 218, 219,                 # add_key request_key keyctl
    97, 268, 40,                   # unshare setns mount
    428, 429, 430, 442,            # open_tree move_mount fsopen mount_setattr
    37, 36, 33,                    # linkat symlinkat mknodat
    52, 53, 452,                   # fchmod fchmodat fchmodat2
    140, 122, 119, 30,             # setpriority sched_setaffinity sched_setscheduler ioprio_set
    26,                            # inotify_init1
    92, 262, 265, 264,             # personality fanotify_init open_by_handle_at name_to_handle_at
    446, 447,                      # landlock_restrict_self memfd_secret
))
# fmt: on
MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def seccomp_program(machine: Machine) -> bytes:
    """The BPF program: deny by number; threads but no processes; no foreign architecture."""
    load, equal, at_least, bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, errno = 0x80000000, 0x7FFF0000, 0x00050000
    instructions: list[bytes] = []

    def add(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> None:
        instructions.append(struct.pack("HBBI", code, if_true, if_false, operand))

    add(load, 4)
    add(equal, machine.audit_arch, 1, 0)
    add(give, kill)
    add(load, 0)
    if machine is _X86_64:
        add(at_least, 0x40000000, 0, 1)  # the x32 calls
        add(give, kill)
    add(equal, machine.clone3, 0, 1)
    add(give, errno | ENOSYS)  # so that the C library falls back to clone
    for call in sorted(machine.denied):
        add(equal, call, 0, 1)
        add(give, errno | EPERM)
    add(equal, machine.clone, 0, 3)
    add(load, 16)  # the flags
    add(bits, 0x00010000, 1, 0)  # CLONE_THREAD
    add(give, errno | EPERM)
    add(give, allow)
    return b"".join(instructions)


class Confinement:
    """Built once in the fork server; `enter` is called in each child."""

    def __init__(self, first_uid: int | None):
        name = platform.machine()
        if name not in MACHINES:
            known = ", ".join(MACHINES)
            raise RuntimeError(
                f"no system call filter for processor {name!r} (there is one for {known})"
            )
        program = seccomp_program(MACHINES[name])
        self._buffer = ctypes.create_string_buffer(program, len(program))
        address = ctypes.cast(self._buffer, ctypes.c_void_p)
        self._filter = _Filter(len(program) // 8, address)
        self.first_uid = first_uid

    def enter(self, run: int, cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
        """Confine the calling process for good.

        `run` is its number, for a uid that no other run had. Raises OSError if the kernel refuses.
        """
        limit = resource.setrlimit
        limit(resource.RLIMIT_CORE, (0, 0))
        limit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        limit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        limit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        limit(resource.RLIMIT_MSGQUEUE, (0, 0))
        limit(resource.RLIMIT_MEMLOCK, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_STACK)
        stack = STACK_BYTES if most == resource.RLIM_INFINITY else min(STACK_BYTES, most)
        limit(resource.RLIMIT_STACK, (stack, stack))
        if self.first_uid is not None:
            uid = self.first_uid + run
            limit(resource.RLIMIT_NPROC, (TASKS, TASKS))
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        prctl = _libc.prctl
        prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        if self.first_uid is None:
            _deny_writing()
        if prctl(_PR_SET_SECCOMP, 2, ctypes.byref(self._filter), 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp filter")
        limit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _deny_writing() -> None:
    """Where the user is not one of its own: no changes to the file system (Landlock, if there)."""
    rights = ctypes.c_uint64(_LANDLOCK_WRITES)
    size = ctypes.c_size_t(ctypes.sizeof(rights))
    rules = _libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(rights), size, 0)
    if rules < 0:
        return  # an older kernel, or switched off
    _libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def adopt_orphans() -> None:
    """Make the calling process the parent of every descendant whose own parent dies."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
