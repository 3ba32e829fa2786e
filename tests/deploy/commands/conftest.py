"""What the tests of several commands share: a file of synthetic problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli import main


@pytest.fixture
def synth(tmp_path: Path) -> Path:
    """Two problems of each tier."""
    path = tmp_path / "synth.jsonl"
    assert main(["data", "synth", "-o", str(path), "--per-tier", "2", "--seed", "5"]) == 0
    return path
