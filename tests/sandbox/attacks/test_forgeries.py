"""Programs that try to forge a verdict."""

import pytest

from curriculum.problem import Test
from sandbox import Job, Outcome, TestOutcome
from sandbox.channel import Channel
from tests.sandbox.attacks.conftest import GOOD

SECRET = "s3cret-expected-output"
"""An expected output no program can compute."""

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
