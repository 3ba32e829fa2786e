"""What a child gives up before it runs a program: privileges, resources and system calls."""

import ctypes
import os
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
    """To the server and its children."""
    denied_to_children: tuple[int, ...]
    """These the server itself needs, and a child before it is confined."""
    tgkill: int
    """Allowed on the calling process only, where its user has others."""
    prlimit64: int
    """Allowed on the calling process only."""


# Denied with EPERM. New processes and programs; sockets (AF_VSOCK reaches a hypervisor in spite of
# `--network none`); signals to others; everything by which one run could leave something to the
# next (System V IPC, message queues, keyrings); changes to files that Landlock does not know; and
# what widens the kernel's attack surface.
# fmt: off
_X86_64 = Machine(0xC000003E, 56, 435, (
    41, 53,                        # socket socketpair
    57, 58, 59, 322,               # fork vfork execve execveat
    101, 310, 311,                 # ptrace process_vm_readv process_vm_writev
    200, 424, 438,                 # tkill pidfd_send_signal pidfd_getfd
    29, 68, 64, 240,               # shmget msgget semget mq_open
    109,                           # setpgid
    425, 323, 298, 321,            # io_uring_setup userfaultfd perf_event_open bpf
    248, 249, 250,                 # add_key request_key keyctl
    272, 308, 165,                 # unshare setns mount
    428, 429, 430, 442,            # open_tree move_mount fsopen mount_setattr
    86, 265, 88, 266, 133, 259,    # link linkat symlink symlinkat mknod mknodat
    90, 91, 268, 452,              # chmod fchmod fchmodat fchmodat2
    141, 203, 144, 251,            # setpriority sched_setaffinity sched_setscheduler ioprio_set
    294, 253,                      # inotify_init1 inotify_init
    135, 300, 304, 303,            # personality fanotify_init open_by_handle_at name_to_handle_at
    446, 447,                      # landlock_restrict_self memfd_secret
    76, 92, 93, 94, 260,           # truncate chown fchown lchown fchownat
    188, 189, 190, 463,            # setxattr lsetxattr fsetxattr setxattrat
    197, 198, 199, 466,            # removexattr lremovexattr fremovexattr removexattrat
    132, 235, 261, 280,            # utime utimes futimesat utimensat
    129, 297,                      # rt_sigqueueinfo rt_tgsigqueueinfo
), (
    62, 434, 112, 157, 319,        # kill pidfd_open setsid prctl memfd_create
), 234, 302)
_AARCH64 = Machine(0xC00000B7, 220, 435, (
    198, 199,                      # socket socketpair
    221, 281,                      # execve execveat
    117, 270, 271,                 # ptrace process_vm_readv process_vm_writev
    130, 424, 438,                 # tkill pidfd_send_signal pidfd_getfd
    194, 186, 190, 180,            # shmget msgget semget mq_open
    154,                           # setpgid
    425, 282, 241, 280,            # io_uring_setup userfaultfd perf_event_open bpf
    217, 218, 219,                 # add_key request_key keyctl
    97, 268, 40,                   # unshare setns mount
    428, 429, 430, 442,            # open_tree move_mount fsopen mount_setattr
    37, 36, 33,                    # linkat symlinkat mknodat
    52, 53, 452,                   # fchmod fchmodat fchmodat2
    140, 122, 119, 30,             # setpriority sched_setaffinity sched_setscheduler ioprio_set
    26,                            # inotify_init1
    92, 262, 265, 264,             # personality fanotify_init open_by_handle_at name_to_handle_at
    446, 447,                      # landlock_restrict_self memfd_secret
    45, 54, 55,                    # truncate fchownat fchown
    5, 6, 7, 463,                  # setxattr lsetxattr fsetxattr setxattrat
    14, 15, 16, 466,               # removexattr lremovexattr fremovexattr removexattrat
    88,                            # utimensat
    138, 240,                      # rt_sigqueueinfo rt_tgsigqueueinfo
), (
    129, 434, 157, 167, 279,       # kill pidfd_open setsid prctl memfd_create
), 131, 261)
# fmt: on
MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


def server_filter(machine: Machine) -> bytes:
    """The BPF program for server and children: no foreign architecture, `denied` by number, limits
    of the calling process only.
    """
    program = [_instruction(_LOAD, _ARCHITECTURE)]
    program += [_instruction(_EQUAL, machine.audit_arch, 1, 0), _instruction(_GIVE, _KILL)]
    program.append(_instruction(_LOAD, _NUMBER))
    if machine is _X86_64:
        program.append(_instruction(_AT_LEAST, 0x40000000, 0, 1))  # the x32 calls
        program.append(_instruction(_GIVE, _KILL))
    # ENOSYS, so that the C library falls back to clone
    program += _answer(machine.clone3, _ERRNO | ENOSYS)
    for call in sorted(machine.denied):
        program += _answer(call, _ERRNO | EPERM)
    program.append(_instruction(_EQUAL, machine.prlimit64, 0, 3))
    program.append(_instruction(_LOAD, _FIRST_ARGUMENT))
    program.append(_instruction(_EQUAL, 0, 1, 0))
    program.append(_instruction(_GIVE, _ERRNO | EPERM))
    return b"".join((*program, _instruction(_GIVE, _ALLOW)))


def child_filter(machine: Machine, process: int | None = None) -> bytes:
    """The BPF program that a child adds to the server's: threads, but no processes, and signals to
    threads of `process` only, if that is given.

    Short, as the kernel tries it on every system call when it is installed, for each program.
    """
    program = [_instruction(_LOAD, _NUMBER)]
    for call in machine.denied_to_children:
        program += _answer(call, _ERRNO | EPERM)
    if process is not None:
        program.append(_instruction(_EQUAL, machine.tgkill, 0, 4))
        program.append(_instruction(_LOAD, _FIRST_ARGUMENT))
        program.append(_instruction(_EQUAL, process, 1, 0))
        program.append(_instruction(_GIVE, _ERRNO | EPERM))
        program.append(_instruction(_GIVE, _ALLOW))
    program.append(_instruction(_EQUAL, machine.clone, 0, 3))
    program.append(_instruction(_LOAD, _FIRST_ARGUMENT))
    program.append(_instruction(_BITS, 0x00010000, 1, 0))  # CLONE_THREAD
    program.append(_instruction(_GIVE, _ERRNO | EPERM))
    return b"".join((*program, _instruction(_GIVE, _ALLOW)))


_LOAD, _EQUAL, _AT_LEAST, _BITS, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def _answer(call: int, action: int) -> tuple[bytes, bytes]:
    return _instruction(_EQUAL, call, 0, 1), _instruction(_GIVE, action)


class _Program(ctypes.Structure):
    """A filter as the kernel takes it; keeps its instructions alive."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    def __init__(self, instructions: bytes):
        self.buffer = ctypes.create_string_buffer(instructions, len(instructions))
        super().__init__(len(instructions) // 8, ctypes.cast(self.buffer, ctypes.c_void_p))


class Confinement:
    """What the server gives up as it starts, and a child, with `enter`, before its program runs.

    Limits and filters are inherited; what can be so is given up once, by the server.
    """

    def __init__(self, first_uid: int | None):
        """Confine the calling process, the server, which cannot be undone.

        Raises RuntimeError on a processor without a filter, OSError if the kernel refuses.
        """
        name = os.uname().machine
        if name not in MACHINES:
            known = ", ".join(MACHINES)
            raise RuntimeError(
                f"no system call filter for processor {name!r} (there is one for {known})"
            )
        self.first_uid = first_uid
        self._machine = MACHINES[name]
        self._filter = _Program(child_filter(self._machine))
        _adopt_orphans()
        for none in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_MEMLOCK):
            resource.setrlimit(none, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        _, most = resource.getrlimit(resource.RLIMIT_STACK)
        stack = STACK_BYTES if most == resource.RLIM_INFINITY else min(STACK_BYTES, most)
        resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        if first_uid is None:
            _deny_writing()
        _install(_Program(server_filter(MACHINES[name])))

    def enter(self, run: int, cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
        """Confine the calling process for good.

        `run` is its number, for a uid that no other run had. Raises OSError if the kernel refuses.
        """
        limit = resource.setrlimit
        limit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        limit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        if self.first_uid is not None:
            uid = self.first_uid + run
            limit(resource.RLIMIT_NPROC, (TASKS, TASKS))
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        else:
            self._filter = _Program(child_filter(self._machine, os.getpid()))
        _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        _install(self._filter)
        limit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _install(program: _Program) -> None:
    if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter")


def _deny_writing() -> None:
    """Where the user is not one of its own: no changes to the file system (Landlock, if there)."""
    rights = ctypes.c_uint64(_LANDLOCK_WRITES)
    size = ctypes.c_size_t(ctypes.sizeof(rights))
    rules = _libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(rights), size, 0)
    if rules < 0:
        return  # an older kernel, or switched off
    _libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _adopt_orphans() -> None:
    """Make the calling process the parent of every descendant whose own parent dies."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
