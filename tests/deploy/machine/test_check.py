"""The check on a machine without a GPU: its mistakes, and its parts for CPUs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from deploy.cli import main
from deploy.machine.check import PARTS
from deploy.machine.learning import attention
from deploy.machine.part import Scale
from learner.models import packing

ROOT = Path(__file__).resolve().parents[3]


def test_attention_over_packed_rows_is_plain_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = Scale(0, True, tmp_path)
    figures = attention(scale)
    assert all(figure.ok for figure in figures)
    assert len(figures) == 2

    def swapped(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> Tensor:
        return packing.by_sequence(query, value, key, *rest)

    monkeypatch.setattr("deploy.machine.learning.by_sequence", swapped)
    assert not any(figure.ok for figure in attention(scale))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--skip", "nccl,sped"], "--skip sped: there is no such part; there are machine, exactn"),
        (["--limit", "0"], "--limit must be above 0"),
        (["--model", "absent-folder"], "absent-folder: no such file or folder"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.integration
def test_the_parts_for_cpus_pass_in_their_short_form(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "deploy", "check", "--quick",
         "--skip", "attention,speed,engines,training,pretrained", "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    record = json.loads((tmp_path / "check.json").read_text())
    status = {part["name"]: part["status"] for part in record["parts"]}
    passed = {"machine", "exactness"}
    assert status == {part.name: "passed" if part.name in passed else "skipped" for part in PARTS}
    figures = {f["name"] for part in record["parts"] for f in part["figures"]}
    assert "gradient norm, relative difference" in figures
