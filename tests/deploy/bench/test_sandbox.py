"""The sandbox's benchmark: its baselines and its soak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.bench.sandbox import soak as soak_benchmark
from deploy.bench.sandbox.baselines import COMPARISON_FILES, DRIVER, LOOP, PACKAGE
from deploy.bench.sandbox.measure import ATTACK_TESTS, COVERAGE_TESTS, NOT_ATTACKS, SUITE
from deploy.bench.sandbox.soak import Soak, soak
from deploy.progress import StageProgress
from deploy.versions import ROOT


def test_the_baselines_run_functions_and_printing_programs():
    space: dict[str, Any] = {}
    exec(DRIVER, space)
    run = space["run"]
    assert run("def f(x, k=1): return x * k", "f", [[[2], {}], [[2], {"k": 3}]]) == [2, 6]
    assert run("class Solution:\n  def f(self, x): return x", "f", [[[2], {}]]) == [2]
    assert run("print(input() * 2)", None, ["ab", "c\n"]) == ["abab\n", "cc\n"]


def test_the_in_process_baseline_compares_with_our_code(tmp_path: Path):
    """As in the container: nothing of this package can be imported but the files it is given."""
    for name in COMPARISON_FILES:
        copy = tmp_path / "sandbox" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(PACKAGE / name)
    program = f"ROUNDS = 1\n{LOOP}".replace("/judge", str(tmp_path))
    job = json.dumps(["def f(x): return x / 3", "f", [[[1], {}]]])
    python = getattr(sys, "_base_executable", sys.executable)

    def judge(expected: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-I", "-S", "-c", program],
            input=json.dumps([job, [expected], "close"]),
            capture_output=True,
            text=True,
            check=False,
        )

    passing, failing = judge(0.3333333), judge(0.3)
    assert float(passing.stdout) > 0, passing.stderr
    assert failing.returncode == 1
    assert job in failing.stderr, "it ends with the job whose output is wrong"


@pytest.mark.parametrize(
    ("tests", "at_least"), [(COVERAGE_TESTS, 40), (ATTACK_TESTS, 120)], ids=["coverage", "attacks"]
)
def test_the_suites_that_the_benchmark_runs_are_there(tests: tuple[str, str], at_least: int):
    module, selection = tests
    collected = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            str(SUITE / module),
            "-k",
            selection,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = [line for line in collected.splitlines() if "::" in line]
    attacks = [name for name in names if not any(part in name for part in NOT_ATTACKS)]
    assert len(attacks) >= at_least
    if tests is ATTACK_TESTS:
        for part in NOT_ATTACKS:
            assert any(part in name for name in names), f"{part} is the name of no test"


@pytest.mark.docker
def test_a_short_soak_loses_nothing():
    verdicts = []
    result = soak(300, seed=5, on_verdict=lambda: verdicts.append(1))
    assert len(verdicts) == 300
    assert result.kills > 0
    assert (result.lost, result.duplicated, result.wrong) == (0, 0, 0)
    # Connections that earlier tests of this process left open may close meanwhile.
    assert result.fd_drift <= 0


def test_a_soak_is_judged_by_what_it_showed(monkeypatch: pytest.MonkeyPatch):
    result = Soak(100, kills=2, lost=1, duplicated=0, wrong=3, memory_drift_mb=20.5, fd_drift=0)
    monkeypatch.setattr(soak_benchmark, "soak", lambda programs, on_verdict: result)
    with StageProgress() as progress:
        short = {f.name: f for f in soak_benchmark.endurance(100, progress)}
    assert short["soak_programs"].ok, "the number of programs has no target in a short soak"
    missed = {name for name, figure in short.items() if not figure.ok}
    assert missed == {"verdicts_lost", "verdicts_wrong", "memory_drift_mb"}
    long = {f.name: f for f in soak_benchmark.measure(100)}
    assert not long["soak_programs"].ok, "100 programs prove no endurance"
