"""Programs that try to outlive their deadline or to exhaust a resource."""

import pytest

from curriculum.problem import Test
from sandbox import Job, Limits, Outcome
from tests.sandbox.conftest import DOCKER

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
    "reading from a pair": "import socket\na, b = socket.socketpair()\na.recv(1)\n",
    "an exit function": "import atexit\n@atexit.register\ndef _():\n    while True: pass\n",
    "an object's end": "class A:\n    def __del__(self):\n        while True: pass\na = A()\n",
    "a flush": (
        "import sys\nclass A:\n    def flush(self):\n        while True: pass\nsys.stdout = A()\n"
    ),
    "a hook for errors": "import sys\ndef hook(*_):\n    while True: pass\n"
    "sys.excepthook = hook\n1 // 0\n",
    "a message of an error": (
        "class A(Exception):\n    def __str__(self):\n        while True: pass\nraise A\n"
    ),
    "a pool": (
        "from concurrent.futures import ThreadPoolExecutor\nimport time\n"
        "ThreadPoolExecutor(1).submit(time.sleep, 60)\n"
    ),
    "an event loop": "import asyncio\nasyncio.run(asyncio.sleep(60))\n",
    "a stopped group": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n",
    "a lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
}


@pytest.mark.parametrize("name", HANGERS)
def test_nothing_survives_the_deadline(program, name):
    limits = Limits(wall_seconds=0.25, memory_mib=1024)
    verdict = program(HANGERS[name], ("", "x"), limits=limits)
    assert verdict.outcome is Outcome.timeout
    assert verdict.wall_seconds < 10, "not when the program would end by itself"


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
    "a stack for every thread": (
        "import threading, time\nthreading.stack_size(1 << 28)\ndef f():\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    ),
    "the stack": (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_STACK, (-1, -1))\n"
        "sys.setrecursionlimit(10**9)\nclass A:\n"
        "    def __getattr__(self, name): return getattr(self, name + 'x')\n"
        "def f(): return A().x\n"
    ),
    "the stack of a thread": (
        "import sys, threading\nthreading.stack_size(1 << 27)\nsys.setrecursionlimit(10**9)\n"
        "def g(): return sorted([1], key=lambda _: g())\n"
        "def f():\n    t = threading.Thread(target=g)\n    t.start(), t.join()\n"
    ),
    "pairs of sockets": (
        "import socket\nkeep = []\ndef f():\n    while True: keep.append(socket.socketpair())\n"
    ),
    "a full pair of sockets": (
        "import socket\ndef f():\n    a, b = socket.socketpair()\n"
        "    while True: a.sendall(b'x' * 65536)\n"
    ),
    "mapped memory": (
        "import mmap\nkeep = []\ndef f():\n    while True: keep.append(mmap.mmap(-1, 1 << 24))\n"
    ),
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


def test_output_without_an_end_fills_no_memory(program):
    source = "import os\nwhile True: os.write(1, b'x' * 65536)\n"
    verdict = program(source, ("", "x"), ("", "x"))
    assert verdict.outcome is Outcome.runtime_error
    assert "exceeds its limit" in verdict.error


def test_tests_share_their_processor_time(program):
    limits = Limits(wall_seconds=20, cpu_seconds=1)
    source = "import time\nwhile time.process_time() < 0.6: pass\nprint(input())\n"
    verdict = program(source, *[(str(n), str(n)) for n in range(4)], limits=limits)
    assert verdict.outcome is Outcome.timeout
    assert [test.outcome.value for test in verdict.tests] == [
        "passed",
        "passed",
        "timeout",
        "not_run",
    ]


def test_a_test_that_ignores_the_processor_limit_is_killed(program):
    source = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass\n"
    verdict = program(source, ("", "x"), limits=Limits(wall_seconds=60, cpu_seconds=1))
    assert verdict.outcome is Outcome.timeout
    assert verdict.error == "processor time limit"
