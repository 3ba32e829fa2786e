"""Programs that interfere with what coverage relies on; honest ones are not flagged."""

import pytest

from sandbox import Outcome


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
