"""Programs that try to forge a verdict, to escape, to outlive their run or to harm the next job."""

import ctypes

import pytest

from curriculum.problem import Test
from sandbox import Job, Limits, Outcome, TestOutcome
from sandbox.channel import Channel
from tests.sandbox.conftest import DOCKER

SECRET = "s3cret-expected-output"
"""An expected output no program can compute."""

GOOD = "def f(x):\n    return x + 1\n"


@pytest.fixture(autouse=True)
def the_next_job_is_unharmed(sandbox):
    """After every attack the same warm runner still gives an honest program its verdict."""
    yield
    tests = tuple(Test(input=[n], output=n + 1) for n in range(3))
    verdict = sandbox.run(Job(id="next", source=GOOD, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed
    assert verdict.executed_lines == (1, 2)
    assert not verdict.coverage_tampered


FORGERIES = {
    "an object equal to everything": (
        "class A:\n    def __eq__(self, o): return True\n    def __hash__(self): return 0\n"
        "def f(): return A()\n"
    ),
    "a string equal to everything": (
        "class A(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\n"
        "def f(): return A('x')\n"
    ),
    "a list equal to everything": (
        "class A(list):\n    def __eq__(self, o): return True\ndef f(): return A()\n"
    ),
    "an object with a telling repr": (
        "class A:\n    def __repr__(self): return '*'\ndef f(): return A()\n"
    ),
    "a dict that pretends to be a tag": "def f(): return {'\\0opaque': 'x'}\n",
    "a malformed tag": "def f(): return {'\\0set': 3}\n",
    "an early clean exit": "import os\ndef f(): os._exit(0)\n",
    "a clean exit while loading": "import os\nos._exit(0)\n",
    "SystemExit": "def f(): raise SystemExit(0)\n",
    "StopIteration": "def f(): raise StopIteration\n",
    "the output limit's own exception": (
        "import sys\ndef f():\n    frame = sys._getframe(1)\n"
        "    raise frame.f_globals['OutputLimit']\n"
    ),
    "reading every frame": (
        "import sys\ndef f():\n    frame, seen = sys._getframe(), []\n    while frame:\n"
        "        seen += list(frame.f_locals.values()) + list(frame.f_globals.values())\n"
        "        frame = frame.f_back\n"
        "    text = repr(seen)\n    at = text.find('s3cret')\n"
        "    return text[at:at + 22] if at >= 0 else at\n"
    ),
    "searching all objects": (
        "import gc\ndef f():\n"
        "    found = [o for o in gc.get_objects()\n"
        "             if isinstance(o, (str, list)) and 's3cret' in o]\n"
        "    return found[0] if found else None\n"
    ),
    "emitting the end through a frame": (
        "import os, sys\ndef f():\n    emit = sys._getframe(1).f_locals['self'].emit\n"
        "    emit('z', 0, 'null')\n    os._exit(0)\n"
    ),
    "emitting a result of another kind": (
        "import sys\ndef f():\n    sys._getframe(1).f_locals['self'].emit('o', 0, '\"x\"')\n"
    ),
    "emitting a second program record": (
        "import sys\ndef f():\n    sys._getframe(1).f_locals['self'].emit('p', 0, '[]')\n"
    ),
    "emitting garbage": (
        "import sys\ndef f():\n    sys._getframe(1).f_locals['self'].emit('r', 0, '{')\n"
    ),
    "emitting a result for a later test": (
        "import sys\ndef f():\n    sys._getframe(1).f_locals['self'].emit('r', 1, '1')\n"
    ),
    "a replaced encoder": (
        "import sys\ndef f():\n    values = sys._getframe(1).f_globals['values']\n"
        '    values.dumps_result = lambda value: \'{"\\\\u0000opaque": "x"}\'\n'
    ),
    "replaced builtins": (
        "import builtins, json\nbuiltins.isinstance = lambda *a: True\n"
        "json.dumps = lambda *a, **k: 'true'\ndef f(): return 1\n"
    ),
    "writing to every descriptor": (
        "import os\ndef f():\n    for fd in range(64):\n        try: os.write(fd, b'z 0 null\\n')\n"
        "        except OSError: pass\n    os._exit(0)\n"
    ),
    "a result that is nested too deeply": (
        "def f():\n    x = []\n    for _ in range(900): x = [x]\n    return x\n"
    ),
    "a result that holds itself": "def f():\n    x = []\n    x.append(x)\n    return x\n",
    "a huge integer": "def f(): return 1 << 3000000\n",
    "members that collide": "def f(): return {k * (2**61 - 1) for k in range(1, 3000)}\n",
    "NaN": "def f(): return float('nan')\n",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_passes(call, name):
    verdict = call(FORGERIES[name], ([], SECRET), ([], SECRET))
    assert verdict.outcome in (Outcome.failed, Outcome.runtime_error, Outcome.out_of_memory)
    assert all(test.outcome is not TestOutcome.passed for test in verdict.tests)
    assert SECRET not in (verdict.error or "").replace(f"expected '{SECRET}'", "")


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos._exit(0)\n",
        "import sys\nsys.stdout = None\n",
        "import sys\nsys.stdout.close()\n",
        "import os\nfor fd in range(64):\n    try: os.close(fd)\n    except OSError: pass\n",
        "import builtins\nbuiltins.print = lambda *a: None\nprint('x')\n",
        "import sys\nclass Out:\n    def write(self, t): pass\n    def flush(self): pass\n"
        "sys.stdout = Out()\n",
    ],
)
def test_no_forged_script_output_passes(program, source):
    verdict = program(source, ("", SECRET), ("", SECRET))
    assert verdict.outcome in (Outcome.failed, Outcome.runtime_error)


def test_closing_the_standard_files_does_not_spoil_later_tests(program):
    source = "import sys\nprint(input())\nsys.stdin.close()\nsys.stdout.flush()\n"
    assert program(source, ("a", "a"), ("b", "b")).outcome is Outcome.passed


def test_expected_outputs_never_reach_the_runner(sandbox, monkeypatch):
    sent = []
    send = Channel.send

    def listen(self, limits, coverage, job, deadline):
        sent.append(repr(limits).encode() + job)
        return send(self, limits, coverage, job, deadline)

    monkeypatch.setattr(Channel, "send", listen)
    tests = (Test(input=[1], output=SECRET), Test(input=[2], output=[SECRET, SECRET]))
    for stop in (False, True):
        sandbox.run(
            Job(id=SECRET, source=GOOD, fn_name="f", tests=tests, stop_at_first_failure=stop)
        )
    assert sent
    assert not any(b"s3cret" in data for data in sent)


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
}
PREAMBLE = (
    "import os, subprocess, multiprocessing, socket, signal, ctypes, resource\n"
    "def libc(name, *arguments):\n"
    "    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)\n"
    "    if result < 0: raise OSError(ctypes.get_errno(), name)\n"
    "    return result\n"
)


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


def test_a_tampered_pipe_does_not_block_the_next_program(call):
    spoils = (
        "import fcntl\ndef f():\n    for fd in range(3, 64):\n        try:\n"
        "            fcntl.fcntl(fd, fcntl.F_SETFL, 0)\n            fcntl.fcntl(fd, 1031, 4096)\n"
        "        except OSError: pass\n    return 1\n"
    )
    call(spoils, ([], 1))
    reports = "import sys\ndef f():\n    for _ in range(9000): sys._getframe()\n    return 1\n"
    verdict = call(reports, ([], 1))
    assert verdict.outcome is Outcome.passed
    assert verdict.coverage_tampered


def test_frames_obtained_through_a_library_are_reported(call):
    source = (
        "import traceback\nwalk = getattr(traceback, 'walk_' + 'stack')\n"
        "def f():\n    return len(list(walk(None))) > 0\n"
    )
    assert call(source, ([], True)).coverage_tampered
    honest = (
        "import traceback\ndef f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
        "        return 'ZeroDivisionError' in traceback.format_exc()\n"
    )
    assert not call(honest, ([], True)).coverage_tampered


def test_a_full_pipe_does_not_hide_tampering(call):
    source = (
        "import os, stat, sys\ndef f():\n    for fd in range(3, 64):\n        try:\n"
        "            if not stat.S_ISFIFO(os.fstat(fd).st_mode): continue\n"
        "            while True: os.write(fd, b'+')\n"
        "        except OSError: pass\n"
        "    return getattr(sys, '_get' + 'frame')(0) is not None\n"
    )
    verdict = call(source, ([], True))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert verdict.coverage_tampered


def test_replacing_os_write_does_not_hide_tampering(call):
    source = (
        "import os, sys\nos.write = lambda *_: 0\n"
        "def f():\n    return getattr(sys, '_get' + 'frame')(0) is not None\n"
    )
    verdict = call(source, ([], True))
    assert verdict.coverage_tampered


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


HANGERS = {
    "ignoring signals": (
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass\n"
    ),
    "stopping itself": "import signal\nsignal.raise_signal(signal.SIGSTOP)\nwhile True: pass\n",
    "threads": (
        "import threading\ndef spin():\n    while True: pass\n"
        "for _ in range(8): threading.Thread(target=spin).start()\n"
    ),
    "a thread at exit": (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=False).start()\nprint('x')\n"
    ),
    "catching everything": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n"
    ),
    "a slow exponent": "x = 9 ** 9 ** 9\n",
    "sleeping": "import time\ntime.sleep(60)\n",
    "reading": "import os\nos.read(os.pipe()[0], 1)\n",
}


@pytest.mark.parametrize("name", HANGERS)
def test_nothing_survives_the_deadline(program, name):
    limits = Limits(wall_seconds=0.25, memory_mib=1024)
    verdict = program(HANGERS[name], ("", "x"), limits=limits)
    assert verdict.outcome is Outcome.timeout
    assert verdict.wall_seconds < 3


@pytest.mark.parametrize("sandbox", [DOCKER], indirect=True)
def test_no_process_is_left_in_the_container(sandbox):
    tests, limits = (Test(input="", output="x"),), Limits(wall_seconds=0.1)
    for name, source in HANGERS.items():
        sandbox.run(Job(id=name, source=source, fn_name=None, tests=tests, limits=limits))
        processes = sandbox._runner.container.top()["Processes"]
        assert len(processes) == 1, f"{name}: only the runner stays"


EXHAUSTIONS = {
    "recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\n",
    "recursion in C": (
        "def f():\n    x = []\n    for _ in range(10**6): x = [x]\n    return repr(x)\n"
    ),
    "threads": (
        "import threading, time\ndef f():\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    ),
    "descriptors": "import os\nkeep = []\ndef f():\n    while True: keep.append(os.pipe())\n",
    "the compiler": "x = " + "(" * 5000 + ")" * 5000,
    "constant folding": "def f():\n    return [0] * (2**40)\n",
}


@pytest.mark.parametrize("name", EXHAUSTIONS)
def test_exhausting_a_resource_is_the_programs_own_failure(call, name):
    limits = Limits(wall_seconds=2, memory_mib=256)
    verdict = call(EXHAUSTIONS[name], ([], 1), limits=limits)
    failures = (
        *(Outcome.runtime_error, Outcome.out_of_memory),
        *(Outcome.timeout, Outcome.compile_error),
    )
    assert verdict.outcome in failures


TAMPERINGS = {
    "monitoring": "import sys\ntry: sys.monitoring\nexcept AttributeError: pass\n",
    "tracing": "import sys\nsys.settrace(None)\n",
    "hidden tracing": "import sys\ngetattr(sys, 'set' + 'trace')(None)\n",
    "frames": "import sys\nsys._getframe(0)\n",
    "hidden frames": "import sys\ngetattr(sys, '_get' + 'frame')(0)\n",
    "frames by the library": "import traceback\nlist(traceback.walk_stack(None))\n",
    "collector": "import gc\ngc.get_objects()\n",
    "hidden collector": "getattr(eval('__imp' + 'ort__(\"g\" + \"c\")'), 'get_ob' + 'jects')()\n",
    "hidden ctypes": "exec('imp' + 'ort cty' + 'pes')\n",
    "code in disguise": "exec(compile('x = 1', '/usr/lib/x.py', 'exec'))\n",
    "an exception's frames": (
        "try: 1 // 0\nexcept ZeroDivisionError as e:\n"
        "    getattr(getattr(e, '__trace' + 'back__'), 'tb_fr' + 'ame')\n"
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_using_what_coverage_relies_on_is_flagged(program, name):
    verdict = program(TAMPERINGS[name], ("", ""))
    assert verdict.coverage_tampered


@pytest.mark.parametrize(
    "source",
    [
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\nprint(P(1, 2).x)\n",
        "import enum\nclass E(enum.Enum): A = 1\nE2 = enum.Enum('E2', 'B')\nprint(E.A.value)\n",
        "import dataclasses\n@dataclasses.dataclass\nclass D: x: int\nprint(D(1).x)\n",
        "import typing, threading\nT = typing.NamedTuple('T', [('x', int)])\nprint(T(1).x)\n",
        "print(eval('1'))\nexec('x = 1')\n",
        "import logging, random, statistics\nlogging.getLogger('x').debug('y')\nprint(1)\n",
    ],
)
def test_honest_programs_are_not_flagged(program, source):
    verdict = program(source, ("", "1"))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert not verdict.coverage_tampered


def test_one_program_leaves_nothing_for_the_next(call):
    leave = (
        "import builtins, sys, os, json\ndef f():\n    builtins.left = sys.left = json.left = 1\n"
        "    sys.modules['left'] = sys\n    os.environ['LEFT'] = '1'\n    os.umask(0o7)\n"
        "    return 1\n"
    )
    look = (
        "import builtins, sys, os, json, random\ndef f():\n"
        "    return [hasattr(m, 'left') for m in (builtins, sys, json)] + ['left' in sys.modules,"
        " os.environ.get('LEFT'), os.umask(0o22) == 0o7, random.random()]\n"
    )
    before = call(look, ([], None)).error
    assert call(leave, ([], 1)).outcome is Outcome.passed
    assert call(look, ([], None)).error == before
    assert "[False, False, False, False, None, False" in before
