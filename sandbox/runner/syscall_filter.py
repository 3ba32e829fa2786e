"""The system calls a program may not make, as BPF programs for seccomp."""

import struct
from errno import ENOSYS, EPERM
from typing import NamedTuple


class Architecture(NamedTuple):
    """One processor architecture as seccomp sees it: its system calls by number."""

    audit_arch: int
    clone: int
    clone3: int
    denied: tuple[int, ...]
    """Denied to the server and its children."""
    denied_to_children: tuple[int, ...]
    """Denied to children only: the server needs them, and so does a child until it is confined."""
    signals: tuple[int, ...]
    """kill and tgkill: a child may send signals to itself only."""
    prlimit64: int
    """Allowed on the calling process only."""
    socketpair: int
    """Allowed for streams between two ends in one process, as asyncio needs one."""
    messages: tuple[int, ...]
    """sendto and recvfrom: denied with `MSG_OOB`, a rarely used and attackable part of the kernel;
    their flags are the fourth argument."""


# Denied with EPERM: new processes and programs; sockets (AF_VSOCK reaches a hypervisor in spite of
# `--network none`), whatever would lead a socket pair to another process or pass descriptors;
# signals to other processes; everything by which one run could leave something
# to the next (System V IPC, message queues, keyrings); changes to files that Landlock does not
# cover; and whatever widens the kernel's attack surface.
# fmt: off
_X86_64 = Architecture(0xC000003E, 56, 435, (
    41, 42, 49, 50, 43, 288,       # socket connect bind listen accept accept4
    46, 307, 54,                   # sendmsg sendmmsg setsockopt
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
    434, 112, 157, 319,            # pidfd_open setsid prctl memfd_create
), (62, 234), 302, 53, (44, 45))
_AARCH64 = Architecture(0xC00000B7, 220, 435, (
    198, 203, 200, 201, 202, 242,  # socket connect bind listen accept accept4
    211, 269, 208,                 # sendmsg sendmmsg setsockopt
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
    434, 157, 167, 279,            # pidfd_open setsid prctl memfd_create
), (129, 131), 261, 199, (206, 207))
# fmt: on
ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}


def server_filter(arch: Architecture) -> bytes:
    """The BPF program for server and children.

    It denies `arch.denied`, setting another process's limits, and socket pairs other than streams
    (a pair of datagram sockets can send to any address), and kills a process that makes a system
    call of another architecture, whose numbers mean other calls.
    """
    code = [_instruction(_LOAD, _ARCHITECTURE)]
    code += [_instruction(_EQUAL, arch.audit_arch, 1, 0), _instruction(_RETURN, _KILL)]
    code.append(_instruction(_LOAD, _NUMBER))
    if arch is _X86_64:
        code.append(_instruction(_AT_LEAST, 0x40000000, 0, 1))  # the x32 calls
        code.append(_instruction(_RETURN, _KILL))
    # clone3 takes its flags in memory, which a filter cannot read; after ENOSYS the C library falls
    # back to clone, whose flags it can.
    code += _if_call(arch.clone3, _ERRNO | ENOSYS)
    for call in sorted(arch.denied):
        code += _if_call(call, _ERRNO | EPERM)
    for call in arch.messages:
        code.append(_instruction(_EQUAL, call, 0, 3))
        code.append(_instruction(_LOAD, _FOURTH_ARGUMENT))
        code.append(_instruction(_BITS, _MSG_OOB, 0, 1))
        code.append(_instruction(_RETURN, _ERRNO | EPERM))
        code.append(_instruction(_LOAD, _NUMBER))
    code.append(_instruction(_EQUAL, arch.socketpair, 0, 7))
    code.append(_instruction(_LOAD, _FIRST_ARGUMENT))
    code.append(_instruction(_EQUAL, _AF_UNIX, 0, 4))
    code.append(_instruction(_LOAD, _SECOND_ARGUMENT))
    code.append(_instruction(_AND, _SOCK_TYPES))
    code.append(_instruction(_EQUAL, _SOCK_STREAM, 0, 1))
    code.append(_instruction(_RETURN, _ALLOW))
    code.append(_instruction(_RETURN, _ERRNO | EPERM))
    code.append(_instruction(_EQUAL, arch.prlimit64, 0, 3))
    code.append(_instruction(_LOAD, _FIRST_ARGUMENT))
    code.append(_instruction(_EQUAL, 0, 1, 0))
    code.append(_instruction(_RETURN, _ERRNO | EPERM))
    return b"".join((*code, _instruction(_RETURN, _ALLOW)))


def child_filter(arch: Architecture, process: int) -> bytes:
    """The BPF program that a child, `process`, adds to the server's.

    It denies `arch.denied_to_children`, signals to other processes, and new processes, but not new
    threads. It is short because it is installed anew for every program, and the kernel then
    evaluates it once for each system call number.
    """
    code = [_instruction(_LOAD, _NUMBER)]
    for call in arch.denied_to_children:
        code += _if_call(call, _ERRNO | EPERM)
    for call in arch.signals:
        code.append(_instruction(_EQUAL, call, 0, 4))
        code.append(_instruction(_LOAD, _FIRST_ARGUMENT))
        code.append(_instruction(_EQUAL, process, 1, 0))
        code.append(_instruction(_RETURN, _ERRNO | EPERM))
        code.append(_instruction(_RETURN, _ALLOW))
    code.append(_instruction(_EQUAL, arch.clone, 0, 3))
    code.append(_instruction(_LOAD, _FIRST_ARGUMENT))
    code.append(_instruction(_BITS, 0x00010000, 1, 0))  # CLONE_THREAD
    code.append(_instruction(_RETURN, _ERRNO | EPERM))
    return b"".join((*code, _instruction(_RETURN, _ALLOW)))


# Opcodes; offsets in `struct seccomp_data`; actions.
_LOAD, _AND, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _FOURTH_ARGUMENT = 0, 4, 16, 24, 40
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPES, _MSG_OOB = 1, 1, 0xF, 1


def _instruction(opcode: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One BPF instruction; `if_true` and `if_false` are how many instructions a jump skips."""
    return struct.pack("HBBI", opcode, if_true, if_false, operand)


def _if_call(call: int, action: int) -> tuple[bytes, bytes]:
    """Return `action` for the system call number just loaded, if it is `call`."""
    return _instruction(_EQUAL, call, 0, 1), _instruction(_RETURN, action)
