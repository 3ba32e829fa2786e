"""`stepcoder signal` on the checkpoint and the recorded rollouts of a real run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.cli import main
from deploy.signal.stored import read_signals


@pytest.mark.integration
def test_the_signal_at_a_checkpoint_of_a_run_is_measured(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "signal.json"
    assert main(["signal", str(undisturbed), "--json", str(file), "--name", "small"]) == 0
    assert "less none" in capsys.readouterr().out
    [found] = read_signals([file])
    every = found.parts[0]
    assert list(every.masks) == ["fgo", "random", "none"]
    assert every.groups >= 2
    assert found.samples > every.groups
    assert found.checkpoint in {path.name for path in (undisturbed / "checkpoints").iterdir()}
    assert json.loads(file.read_text())["name"] == "small"
