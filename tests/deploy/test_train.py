"""`stepcoder train` for real: killed half-way and resumed, it goes on as if never stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = Path(__file__).with_name("small.yaml")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def train(folder: Path, name: str, *words: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy", "train", "--config", str(SMALL), "--name", name,
         "--runs_dir", str(folder / "runs"),
         "--sandbox.backend", "process", "--loop.steps", "4", "--loop.checkpoint_every", "2",
         *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """The metrics of every step without what depends on the clock."""
    timed = (
        "seconds", "rollout/tokens_per_s", "sandbox/program_ms", "sandbox/peak_queue",
        "learner/seconds", "overlap",
    )  # fmt: skip
    lines = (folder / "runs" / name / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if not key.startswith(timed)}
        for line in lines
    ]


def test_a_run_killed_after_its_checkpoint_resumes_to_the_same_figures(tmp_path: Path) -> None:
    """Also where engine and learner take turns: where a role runs must not change a figure."""
    whole = train(tmp_path, "whole", "--placement.colocate", "true")
    output, _ = whole.communicate(timeout=400)
    assert whole.returncode == 0, output

    cut = train(tmp_path, "cut")
    assert cut.stdout is not None
    for line in cut.stdout:
        if line.startswith("step 3/4"):
            break
    cut.send_signal(signal.SIGKILL)
    cut.wait(60)

    resumed = train(tmp_path, "cut", "--resume")
    output, _ = resumed.communicate(timeout=400)
    assert resumed.returncode == 0, output
    assert "resumed from step-000002" in output
    straight, broken = rows(tmp_path, "whole"), rows(tmp_path, "cut")
    assert [row["step"] for row in broken] == [1, 2, 3, 4]
    for one, other in zip(straight, broken, strict=True):
        # The resumed run pushes its weights once more before it goes on.
        one.pop("weights/version"), other.pop("weights/version")
        assert one == other
    results = [
        json.loads((tmp_path / "runs" / name / "result.json").read_text())
        for name in ("whole", "cut")
    ]
    assert results[0]["eval"]["after"]["pass_at_1"] == results[1]["eval"]["after"]["pass_at_1"]
    assert results[1]["weights"]["broadcasts"] == 4 + results[1]["weights"]["first_broadcasts"]
    assert results[1]["isolation"] == "process"
    whole_policy, policy = (
        (tmp_path / "runs" / name / "policy" / "model.safetensors") for name in ("whole", "cut")
    )
    assert whole_policy.read_bytes() == policy.read_bytes()
