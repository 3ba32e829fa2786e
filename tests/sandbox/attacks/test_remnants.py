"""Programs that try to leave something for the next program or the next test."""

import pytest

from sandbox import Limits, Outcome, TestOutcome


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


REMNANTS = {
    "a builtin": "import builtins\nseen = hasattr(builtins, 'left')\nbuiltins.left = 1\n",
    "an attribute of a library": "import json\nseen = hasattr(json, 'left')\njson.left = 1\n",
    "a module": "import sys\nseen = 'left' in sys.modules\nsys.modules['left'] = sys\n",
    "the environment": "import os\nseen = 'LEFT' in os.environ\nos.environ['LEFT'] = '1'\n",
    "the mask of new files": "import os\nseen = os.umask(0o7) == 0o7\n",
    "the current folder": "import os\nseen = os.getcwd() == '/proc'\nos.chdir('/proc')\n",
    "a signal handler": (
        "import signal\nseen = signal.getsignal(10) == signal.SIG_IGN\n"
        "signal.signal(10, signal.SIG_IGN)\n"
    ),
    "an exit function": "import atexit\natexit.register(print, 'left')\nseen = False\nprint()\n",
    "a patched library": ("import math\nseen = math.sqrt(4) == 3\nmath.sqrt = lambda _: 3\n"),
    "a random state": (
        "import random\nseen = random.getstate()[2] is not None\nrandom.gauss(0, 1)\n"
    ),
    "a thread": (
        "import threading, time\nseen = threading.active_count() > 1\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    ),
    "an open file": ("import os\nseen = os.path.exists('/proc/self/fd/50')\nos.dup2(0, 50)\n"),
    "flags of the standard files": (
        "import fcntl\nseen = any(fcntl.fcntl(n, fcntl.F_GETFL) & 0o6000 for n in (0, 1))\n"
        "for n in (0, 1): fcntl.fcntl(n, fcntl.F_SETFL, 0o6000)\n"
    ),
    "a position in the input": (
        "import os\nseen = os.lseek(0, 0, os.SEEK_CUR) != 0\nos.lseek(0, 3, os.SEEK_SET)\n"
    ),
    "a raised limit": (
        "import sys\nseen = sys.getrecursionlimit() != 1000\nsys.setrecursionlimit(5000)\n"
    ),
    "a lowered limit": (
        "import resource as r\nseen = r.getrlimit(r.RLIMIT_NOFILE)[0] < 20\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (10, 10))\n"
    ),
    "a lock on a file": (
        "import fcntl, os\nfile = os.open('/etc/passwd', os.O_RDONLY)\nseen = False\n"
        "try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: seen = True\n"
    ),
}


@pytest.mark.parametrize("name", REMNANTS)
def test_one_stdin_test_leaves_nothing_for_the_next(program, name):
    verdict = program(f"{REMNANTS[name]}print(seen)\n", *[("", "False")] * 3)
    if name == "an exit function":
        verdict = program(f"{REMNANTS[name]}print(seen)\n", *[("", "\nFalse\nleft")] * 3)
    assert verdict.outcome is Outcome.passed, verdict.error


FINDS_EMIT = (
    "import sys\nframe = sys._getframe()\nfound = None\nwhile frame and found is None:\n"
    "    for value in list(frame.f_locals.values()):\n"
    "        found = found or getattr(value, 'emit', None)\n"
    "        cells = getattr(value, '__closure__', None) or ()\n"
    "        for cell in cells: found = found or getattr(cell.cell_contents, 'emit', None)\n"
    "        for cell in cells:\n"
    "            inner = getattr(getattr(cell.cell_contents, '__self__', None), 'emit', None)\n"
    "            found = found or inner\n"
    "    frame = frame.f_back\nassert found\n"
)
RECORDS = {
    "the next test's output": "found('o', 1, '[0, \"x\"]')",
    "its own output twice": "found('o', 0, '[0, \"x\"]')",
    "an end": "found('z', 0, 'null')",
    "garbage": "found('o', 0, '{')",
    "a false status": "found('o', 0, '[99999999, \"x\"]')",
    "a status that is text": "found('o', 0, '[\"0\", \"x\"]')",
    "another program": "found('p', 0, '[]')",
    "an error of its own": "found('e', 0, '[\"A\", \"b\", 1]'), found('e', 0, '[\"A\", \"b\", 1]')",
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_stdin_test_that_writes_records_passes_none(program, name):
    verdict = program(f"{FINDS_EMIT}{RECORDS[name]}\n", ("", "s3cret"), ("", "s3cret"))
    assert verdict.outcome in (Outcome.failed, Outcome.runtime_error)
    assert all(test.outcome is not TestOutcome.passed for test in verdict.tests)
    assert "AssertionError" not in (verdict.error or "")
    assert verdict.coverage_tampered


def test_signals_by_files_hurt_the_program_itself_at_most(program):
    """`F_SETOWN` can name the process that forked the test: it has the same user."""
    source = (
        "import fcntl, os, socket\na, b = socket.socketpair()\n"
        "fcntl.fcntl(a, fcntl.F_SETOWN, os.getppid())\nfcntl.fcntl(a, 10, 9)\n"
        "fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)\nb.sendall(b'x')\nprint('x')\n"
    )
    verdict = program(source, ("", "s3cret"), ("", "s3cret"), limits=Limits(wall_seconds=2))
    assert verdict.outcome is not Outcome.passed
