"""The tests' own check for processes left behind finds them, and only those."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from tests.deploy.leftovers import Leftovers

ORPHAN = """
import subprocess, sys
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"],
                           stdout=subprocess.DEVNULL)
print(sleeper.pid)
"""


def test_a_process_whose_parent_has_ended_is_found_until_it_ends() -> None:
    leftovers, other = Leftovers(), Leftovers()
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN], env=os.environ | leftovers.environment,
        stdout=subprocess.PIPE, text=True, check=True, timeout=60,
    )  # fmt: skip
    orphan = psutil.Process(int(done.stdout))
    try:
        [text] = leftovers.left(within_s=0)
        assert f"pid={orphan.pid}" in text
        assert other.left(within_s=0) == []
    finally:
        orphan.kill()
    assert leftovers.left() == []


def test_a_process_that_hides_its_variables_is_known_by_its_parent() -> None:
    leftovers = Leftovers()
    hidden = "import os, sys; os.execve(sys.executable, [sys.executable, '-c', 'input()'], {})"
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {hidden!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | leftovers.environment,
        stdin=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip
        while len(children := psutil.Process(parent.pid).children()) < 1:
            pass
        while children[0].environ():
            pass
        leftovers.note()
        parent.kill()
        parent.wait()
        [text] = leftovers.left(within_s=0)
        assert f"pid={children[0].pid}" in text
        assert parent.stdin is not None
    assert leftovers.left() == []
