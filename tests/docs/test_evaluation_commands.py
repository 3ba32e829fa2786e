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
         "--placement.min_free_memory_gib", "1")  # fmt: skip


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with the model, the run, the samples and the data that the commands name."""
    write(tmp_path / "data" / "humaneval" / "HumanEval.jsonl", HUMAN_EVAL)
    write(tmp_path / "data" / "mbpp" / "mbpp.jsonl", MBPP[:3])
    shutil.copytree(tiny_model, tmp_path / "models" / "qwen")
    shutil.copytree(tiny_model, tmp_path / "runs" / "hot" / "policy")
    (tmp_path / "runs" / "hot" / "config.yaml").write_text("name: hot\n")
    rows = [
        {"task_id": row["task_id"], "solution": row["prompt"] + row["canonical_solution"]}
        for row in HUMAN_EVAL
    ]
    write(tmp_path / "samples.jsonl", rows)
    return tmp_path


def run(folder: Path, command: Command) -> str:
    """Run a documented command in `folder`; returns what it printed."""
    small = () if "compare" in command.arguments else SMALL
    finished = subprocess.run(
        [sys.executable, "-m", "deploy", *command.arguments, *small],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "STEPCODER_DATA": str(folder / "data")},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def test_the_documented_evaluations_build_on_each_other(folder: Path) -> None:
    page = [command for command in block_commands() if command.page == IN_ORDER]
    assert [command.program for command in page] == ["stepcoder"] * 7
    printed = {str(command): run(folder, command) for command in page}
    canonical, sampled, given, compared = (
        next(text for command, text in printed.items() if part in command)
        for part in ("canonical", "--samples 20", "--judge", "compare")
    )
    assert re.search(r"mbpp  3 problems.*pass@1 │ all  │ 100.0", canonical, re.DOTALL)
    assert "pass@10" in sampled
    assert "pass@1 │ all  │ 100.0" in given
    assert re.search(r"@1 │ +0.0 │ 100.0 │ \+100.0", compared)


def test_the_readme_evaluates_a_run(folder: Path) -> None:
    [command] = [
        command
        for command in block_commands()
        if command.page == Path("README.md") and command.arguments[:1] == ["eval"]
    ]
    assert "humaneval  2 problems" in run(folder, command)
