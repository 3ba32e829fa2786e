"""The documented evaluations run, in the order in which the page gives them, on a tiny model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.docs.commands import ROOT, Command, block_commands
from tests.docs.test_commands import IN_ORDER, MBPP

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

HUMAN_EVAL = [
    {
        "task_id": f"HumanEval/{number}",
        "prompt": f'def add(a):\n    """Add {number} to a."""\n',
        "entry_point": "add",
        "canonical_solution": f"    return a + {number}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {1 + number}\n",
    }
    for number in range(2)
]
SMALL = ("--max-new-tokens", "8", "--sandbox.backend", "process", "--rollout.kv_cache_mib", "64",
         "--placement.min_free_memory_gib", "1", "--data.heldout_per_tier", "1")  # fmt: skip


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with the model, the run, the samples and the data that the commands name."""
    write(tmp_path / "data" / "humaneval" / "HumanEval.jsonl", HUMAN_EVAL)
    write(tmp_path / "data" / "mbpp" / "mbpp.jsonl", MBPP[:3])
    shutil.copytree(tiny_model, tmp_path / "models" / "qwen")
    for name in ("hot", "smoke"):
        shutil.copytree(tiny_model, tmp_path / "runs" / name / "policy")
        (tmp_path / "runs" / name / "config.yaml").write_text(f"name: {name}\n")
    rows = [
        {"task_id": row["task_id"], "solution": row["prompt"] + row["canonical_solution"]}
        for row in HUMAN_EVAL
    ]
    write(tmp_path / "samples.jsonl", rows)
    return tmp_path


def run(folder: Path, command: Command, cluster: str | None) -> str:
    """Run a documented command in `folder`; returns what it printed.

    Args:
        folder: with the files that the command names.
        command: as it is documented.
        cluster: address of the Ray cluster that it joins; None has it start its own.
    """
    small = () if "compare" in command.arguments else SMALL
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STEPCODER_DATA": str(folder / "data")}
    if cluster:
        environment["RAY_ADDRESS"] = cluster
    finished = subprocess.run(
        [sys.executable, "-m", "deploy", *command.arguments, *small],
        cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def outcomes(evaluation: Path) -> dict[str, dict[str, float]]:
    """The shares of the outcomes, by suite."""
    suites = json.loads((evaluation / "result.json").read_text())["suites"]
    return {name: suite["outcomes"] for name, suite in suites.items()}


def test_the_documented_evaluations_build_on_each_other(folder: Path, ray_cluster: str) -> None:
    page = [command for command in block_commands() if command.page == IN_ORDER]
    assert [command.program for command in page] == ["stepcoder"] * 8
    evaluations = folder / "runs" / "eval"
    for command in page:
        printed = run(folder, command, ray_cluster)
        if "canonical" in command.arguments:
            assert re.search(r"humaneval  2 problems.*pass@1 │ all  │ 100.0", printed, re.DOTALL)
            assert re.search(r"mbpp  3 problems.*pass@1 │ all  │ 100.0", printed, re.DOTALL)
            assert "synthetic  3 problems" in printed
            [written] = evaluations.glob("canonical*")
            assert [share["passed"] for share in outcomes(written).values()] == [1.0] * 3
        elif "synthetic" in command.arguments:
            assert "synthetic  3 problems" in printed
            assert (evaluations / "smoke-synthetic" / "samples.jsonl").read_text().count("\n") == 12
        elif "--samples" in command.arguments:
            assert "pass@10" in printed
        elif "--generate-only" in command.arguments:
            assert (evaluations / "mbpp" / "samples.jsonl").read_text().count("\n") == 3
            assert not (evaluations / "mbpp" / "verdicts.jsonl").exists()
        elif "--resume" in command.arguments:
            assert "engines" not in printed, "nothing was left to generate"
            assert (evaluations / "mbpp" / "verdicts.jsonl").read_text().count("\n") == 3
        elif "--judge" in command.arguments:
            assert "pass@1 │ all  │ 100.0" in printed
        elif "compare" in command.arguments:
            assert re.search(r"@1 │ +0.0 │ 100.0 │ \+100.0", printed)


def test_the_readme_evaluates_a_run(folder: Path) -> None:
    [command] = [
        command
        for command in block_commands()
        if command.page == Path("README.md") and command.arguments[:1] == ["eval"]
    ]
    assert "humaneval  2 problems" in run(folder, command, cluster=None)
