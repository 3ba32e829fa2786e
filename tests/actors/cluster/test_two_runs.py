"""Two runs of one name on one cluster share no part, and the end of one leaves the other whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.actors.cluster.small_run import small_run

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


def test_two_runs_at_a_time_share_no_part(ray_cluster: str, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.actors.cluster.small_run", str(tmp_path / "second")]
    environment = {**os.environ, "RAY_ADDRESS": ray_cluster}
    with subprocess.Popen(
        program, cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        with small_run(tmp_path / "first") as (first, judge):
            second = json.loads(process.stdout.readline())
            assert first.keys() == second.keys()
            assert not set(first.values()) & set(second.values())
            assert judge() == "passed"
        process.stdin.write("judge\n")
        process.stdin.flush()
        assert process.stdout.readline() == "passed\n"
        process.stdin.close()
        assert process.wait(60) == 0
    for name in ("first", "second"):
        log = (tmp_path / name).read_text()
        assert log.count("sandbox-0: programs run WITHOUT ISOLATION") == 1, log
