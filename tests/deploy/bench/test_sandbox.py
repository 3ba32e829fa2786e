"""The benchmark's own arithmetic, and its long run in small."""

import json
import subprocess
import sys

import pytest

from deploy.bench.sandbox import count, ratio
from deploy.bench.sandbox_rivals import DRIVER, JUDGE, LOOP, PACKAGE


def test_ratios_reach_their_targets_from_the_right_side():
    assert ratio("a", [1, 9, 2], "b", 2, 3).value == 2
    assert ratio("a", [1, 9, 2], "b", 2, 3).ok
    assert not ratio("a", [1, 9, 1.9], "b", 2, 3).ok
    assert ratio("a", [1.0, 1.1], "b", 1.08, 1, lower=True).ok
    assert not ratio("a", [1.1, 1.1], "b", 1.08, 1, lower=True).ok


def test_counts_must_be_many_or_none():
    assert count("a", 60, "x", at_least=60).ok
    assert not count("a", 59, "x", at_least=60).ok
    assert count("a", 0, "x", at_least=None).ok
    assert count("a", -1, "x", at_least=None).ok
    assert not count("a", 1, "x", at_least=None).ok


def test_the_rivals_run_called_and_printing_programs():
    space = {}
    exec(DRIVER, space)
    run = space["run"]
    assert run("def f(x, k=1): return x * k", "f", [[[2], {}], [[2], {"k": 3}]]) == [2, 6]
    assert run("class Solution:\n  def f(self, x): return x", "f", [[[2], {}]]) == [2]
    assert run("print(input() * 2)", None, ["ab", "c\n"]) == ["abab\n", "cc\n"]


def test_the_rivals_comparison_is_ours(tmp_path):
    """Run bare as in the container: with nothing of this package but what it is given."""
    for name in JUDGE:
        (tmp_path / "sandbox").mkdir(exist_ok=True)
        (tmp_path / "sandbox" / name).symlink_to(PACKAGE / name)
    program = f"ROUNDS = 1\n{LOOP}".replace("/judge", str(tmp_path))
    job = json.dumps(["def f(x): return x / 3", "f", [[[1], {}]]])

    def judged(expected):
        return subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=json.dumps([job, [expected]]),
            capture_output=True,
            text=True,
            check=False,
        )

    assert float(judged(0.3333333).stdout) > 0
    assert judged(0.3).returncode != 0


@pytest.mark.docker
def test_a_short_soak_loses_nothing():
    from deploy.bench.sandbox_soak import soak

    told = []
    seen = soak(300, seed=5, told=lambda: told.append(1))
    assert len(told) == 300
    assert seen.kills > 0
    assert (seen.lost, seen.duplicated, seen.wrong) == (0, 0, 0)
    assert seen.fd_drift == 0
