"""Programs that try to reach other processes, the machine or its files."""

import ctypes

import pytest

from curriculum.problem import Test
from sandbox import Job, Outcome

ESCAPES = {
    "fork": "os.fork()",
    "vfork": "subprocess.run(['true'])",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "exec": "os.execv('/bin/true', ['true'])",
    "multiprocessing": "multiprocessing.Process(target=print).start()",
    "internet": "socket.socket()",
    "hypervisor": "socket.socket(40, socket.SOCK_STREAM)",
    "unix socket": "socket.socket(socket.AF_UNIX)",
    "kill all": "os.kill(-1, 9)",
    "kill the runner": "os.kill(os.getppid(), 9)",
    "signal by descriptor": "signal.pidfd_send_signal(0, 9)",
    "new session": "os.setsid()",
    "memory file": "os.memfd_create('x')",
    "namespace": "libc('unshare', 0x10000000)",
    "trace the runner": "libc('ptrace', 16, os.getppid(), 0, 0)",
    "read the runner": "libc('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0)",
    "shared segment": "libc('shmget', 0x1234, 4096, 0o1666)",
    "semaphore": "libc('semget', 0x1234, 1, 0o1666)",
    "message queue": "libc('msgget', 0x1234, 0o1666)",
    "key ring": "libc('syscall', 250, 0, -3, 0)",
    "survive the parent": "libc('prctl', 1, 0)",
    "io_uring": "libc('syscall', 425, 1, 0)",
    "cut a file": "os.truncate('/proc/self/exe', 0)",
    "take a file": "os.chown('/', 1, 1)",
    "mark a file": "os.setxattr('/', 'user.x', b'')",
    "touch a file": "os.utime('/')",
    "limits of another": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "a signal in a queue": "libc('syscall', 129, os.getppid(), 9, None)",
    "kill the group": "os.killpg(0, 9)",
    "kill a group by number": "os.kill(-os.getpgrp(), 9)",
    "ask for a process": "os.kill(1, 0)",
    "another group": "os.setpgid(0, 0)",
    "a mount": "libc('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
    "another namespace": "libc('setns', os.open('/proc/self/ns/net', 0), 0)",
    "a datagram pair": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "a pair that keeps packets": "socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)",
    "a pair of another family": "socket.socketpair(socket.AF_INET)",
    "a pair of a hidden type": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | 0o2004000)",
    "a pair with a name": "pair()[0].bind('\\0stepcoder')",
    "a pair with a name in the file system": "pair()[0].bind('/run/stepcoder/socket')",
    "a pair that listens": "pair()[0].listen()",
    "a pair that accepts": "pair()[0].accept()",
    "a pair that connects": "pair()[0].connect('/run/stepcoder/socket')",
    "a pair that connects by an abstract name": "pair()[0].connect('\\0stepcoder')",
    "descriptors through a pair": "socket.send_fds(pair()[0], [b'x'], [0])",
    "credentials through a pair": "pair()[0].sendmsg([b'x'], [(socket.SOL_SOCKET, 2, b'x' * 12)])",
    "a message by its address": "pair()[0].sendmsg([b'x'], [], 0, '\\0stepcoder')",
    "urgent data through a pair": "pair()[0].send(b'x', socket.MSG_OOB)",
    "urgent data from a pair": "pair()[0].recv(1, socket.MSG_OOB)",
    "a filter on a pair": "pair()[0].setsockopt(socket.SOL_SOCKET, 26, bytes(16))",
    "credentials of a pair": "pair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "the kernel's ciphers": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    "a shell": "subprocess.run('true', shell=True, check=True)",
    "a process pool": "multiprocessing.Pool(1)",
    "a spawned process": "multiprocessing.get_context('spawn').Process(target=print).start()",
    "user faults": "libc('syscall', 323, 0)",
    "performance counters": "libc('syscall', 298, bytes(128), 0, -1, -1, 0)",
    "a program for the kernel": "libc('syscall', 321, 0, bytes(128), 128)",
    "priority of others": "os.setpriority(os.PRIO_PROCESS, 1, 5)",
    "processors of others": "os.sched_setaffinity(os.getppid(), {0})",
    "a process descriptor": "os.pidfd_open(os.getppid())",
}
PREAMBLE = (
    "import os, subprocess, multiprocessing, socket, signal, ctypes, resource\n"
    "def libc(name, *arguments):\n"
    "    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)\n"
    "    if result < 0: raise OSError(ctypes.get_errno(), name)\n"
    "    return result\n"
    "def pair(): return socket.socketpair()\n"
)


PRIVILEGES = {
    "another user": "os.setuid(0)",
    "another group of users": "os.setgid(0)",
    "another root": "os.chroot('/')",
    "a device": "os.mknod('/tmp/x', 0o20666, os.makedev(1, 1))",
    "the runner's files": "os.listdir('/proc/1/fd')",
    "the runner's environment": "open('/proc/1/environ').read()",
    "the clock": "time.clock_settime(time.CLOCK_REALTIME, 0)",
    "the host's name": "socket.sethostname('x')",
}


@pytest.mark.parametrize("name", PRIVILEGES)
@pytest.mark.docker
def test_privileges_are_denied(docker_sandbox, name):
    source = f"{PREAMBLE}import time\ndef f():\n    {PRIVILEGES[name]}\n    return 'escaped'\n"
    tests = (Test(input=[], output="escaped"),)
    verdict = docker_sandbox.run(Job(id=name, source=source, fn_name="f", tests=tests))
    assert "PermissionError" in (verdict.error or ""), verdict.error


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_are_denied(call, name):
    source = f"{PREAMBLE}def f():\n    {ESCAPES[name]}\n    return 'escaped'\n"
    verdict = call(source, ([], "escaped"))
    assert verdict.outcome is Outcome.runtime_error
    assert "PermissionError" in verdict.error or "Errno 1" in verdict.error, verdict.error


def test_other_processes_get_no_signal(call):
    """Not even signal 0, which only asks whether a thread exists."""
    source = f"{PREAMBLE}def f():\n    libc('syscall', 234, os.getppid(), os.getppid(), 0)\n"
    verdict = call(source, ([], None))
    assert verdict.outcome is Outcome.runtime_error
    assert "Errno 1" in verdict.error


@pytest.mark.parametrize(
    "place",
    ["/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/run/stepcoder", "/home", ".", "/proc/self"],
)
def test_nothing_can_be_written(call, sandbox, place):
    if sandbox.isolation == "process" and ctypes.CDLL(None).syscall(444, None, 0, 1) < 0:
        pytest.skip("without a container this needs a kernel with Landlock")
    source = (
        "import os\ndef f(place):\n    name = place + '/stepcoder-attack'\n"
        "    try:\n        open(name, 'w').close()\n        os.remove(name)\n"
        "    except OSError: return 'refused'\n    return 'written'\n"
    )
    assert call(source, ([place], "refused")).outcome is Outcome.passed


def test_a_pair_of_sockets_reaches_the_process_itself_only(call):
    """What `sendto` takes as an address is refused by a stream, whatever it names."""
    source = (
        f"{PREAMBLE}def f(address):\n    a, b = pair()\n    a.sendall(b'x')\n"
        "    try: a.sendto(b'y', address)\n    except OSError: return b.recv(9).decode()\n"
    )
    for address in ("/run/stepcoder/socket", "/dev/log", "\0stepcoder"):
        assert call(source, ([address], "x")).outcome is Outcome.passed


RAISES = {
    "memory": "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "processor time": "resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
    "files": "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))",
    "descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))",
    "locked memory": "resource.setrlimit(resource.RLIMIT_MEMLOCK, (-1, -1))",
    "core files": "resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))",
}


@pytest.mark.parametrize("name", RAISES)
@pytest.mark.parametrize("reads_stdin", [False, True], ids=["call", "stdin"])
def test_no_limit_can_be_raised(call, program, name, reads_stdin):
    attempt = f"    try: {RAISES[name]}\n    except (OSError, ValueError): return 'refused'\n"
    source = f"import resource\ndef f():\n{attempt}    return 'raised'\n"
    if reads_stdin:
        verdict = program(f"{source}print(f())\n", ("", "refused"))
    else:
        verdict = call(source, ([], "refused"))
    assert verdict.outcome is Outcome.passed, verdict.error


PARENT = {
    "kill": "os.kill(os.getppid(), 9)",
    "kill from a thread": "thread(lambda: os.kill(os.getppid(), 9))",
    "its memory": "open(f'/proc/{os.getppid()}/mem', 'r+b')",
    "its output": "open(f'/proc/{os.getppid()}/fd/1', 'w')",
    "its limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "its score": "open(f'/proc/{os.getppid()}/oom_score_adj', 'w').write('1000')",
    "the runner's memory": "open('/proc/1/mem', 'r+b')",
    "a new session": "os.setsid()",
    "a new group": "os.setpgid(0, 0)",
    "a fork": "os.fork()",
    "another memory file": "os.memfd_create('x')",
}


@pytest.mark.parametrize("name", PARENT)
def test_a_stdin_test_cannot_reach_the_process_that_forked_it(program, name):
    source = (
        "import os, resource, threading\nseen = []\ndef attempt(act):\n"
        "    try: act()\n    except OSError: seen.append('refused')\n"
        "    else: seen.append('done')\n"
        "def thread(act):\n    t = threading.Thread(target=attempt, args=(act,))\n"
        "    t.start(), t.join()\n    if seen == ['refused']: raise OSError\n"
        f"attempt(lambda: {PARENT[name]})\nprint(seen[-1])\n"
    )
    verdict = program(source, ("", "refused"), ("", "refused"))
    assert verdict.outcome is Outcome.passed, verdict.error


@pytest.mark.parametrize("file", ["fd", "environ", "maps", "mem", "stack", "syscall"])
@pytest.mark.docker
def test_a_stdin_test_cannot_read_the_process_that_forked_it(docker_sandbox, file):
    source = (
        "import os\npath = f'/proc/{os.getppid()}/" + file + "'\n"
        "try: os.listdir(path) if os.path.isdir(path) else open(path).read()\n"
        "except OSError: print('refused')\n"
    )
    tests = (Test(input="", output="refused"),)
    verdict = docker_sandbox.run(Job(id=file, source=source, fn_name=None, tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error
