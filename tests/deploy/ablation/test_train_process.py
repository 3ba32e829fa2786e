"""The process of a run: what it is started with, its log, its end. A script stands for training."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import yaml

from deploy.ablation import runner
from deploy.ablation.runner import TrainProcess
from deploy.ablation.units import Layout
from tests.deploy.ablation.test_units import units


def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str,
            resume: bool = False) -> tuple[TrainProcess, Path]:  # fmt: skip
    """The process of arm `full`, its interpreter replaced by a shell script; and its log."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    layout = Layout(tmp_path / "grid", tmp_path / "results")
    unit = units(tmp_path / "grid")[0]
    return TrainProcess(unit, resume, layout), layout.log(unit)


def status_of(process: TrainProcess) -> int:
    deadline = time.monotonic() + 20
    while (status := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return status


def test_a_run_is_started_with_its_own_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, log = started(tmp_path, monkeypatch, 'echo "$@"; echo "$RAY_AUTH_MODE"')
    assert status_of(process) == 0
    command, mode = log.read_text().splitlines()
    words = command.split()
    assert words[:4] == ["-m", "deploy", "train", "--config"]
    assert words[-1] == "--overwrite"
    assert mode == "token"
    profile = yaml.safe_load(Path(words[4]).read_text())
    assert (profile["name"], profile["seed"], profile["learner"]["mask"]) == ("full-1", 1, "fgo")


def test_a_run_that_goes_on_keeps_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, log = started(tmp_path, monkeypatch, "echo first; exit 3")
    assert status_of(first) == 3
    assert first.last_words() == f"first (all of it in {log})"
    second, _ = started(tmp_path, monkeypatch, 'echo "$@"', resume=True)
    assert status_of(second) == 0
    lines = log.read_text().splitlines()
    assert lines[0] == "first"
    assert lines[1].endswith("--resume")


def test_a_run_that_is_asked_to_stop_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "trap 'echo stopped; exit 130' TERM\necho up\nwhile :; do sleep 0.05; done"
    process, log = started(tmp_path, monkeypatch, script)
    while "up" not in log.read_text():
        time.sleep(0.02)
    process.ask_to_stop()
    process.wait()
    assert process.poll() == 130
    process.ask_to_stop()  # of one that has ended: nothing


def test_a_run_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STOP_TIMEOUT_S", 0.2)
    process, log = started(tmp_path, monkeypatch, "trap '' TERM\necho up\nexec sleep 30")
    while "up" not in log.read_text():
        time.sleep(0.02)
    process.ask_to_stop()
    process.wait()
    assert process.poll() == -9
