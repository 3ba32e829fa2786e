"""Run folders: checkpoints are whole or absent, and what a resumed run does not know is dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.run_folder import RunFolder, append_jsonl, write_atomic


def write(folder: RunFolder, step: int, keep: int = 2) -> None:
    with folder.checkpoint(step, keep) as partial:
        (partial / "weights").write_text(str(step))


def write_half(folder: RunFolder, step: int) -> None:
    with folder.checkpoint(step, keep=2) as partial:
        (partial / "weights").write_text("half")
        raise OSError("disk full")


def test_the_newest_whole_checkpoint_is_found_and_old_ones_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.latest() is None
    for step in (5, 10, 15):
        write(folder, step)
    latest = folder.latest()
    assert latest is not None
    assert (latest / "weights").read_text() == "15"
    kept = {path.name for path in folder.checkpoints.iterdir()}
    assert kept == {"step-000010", "step-000015", "latest"}


def test_a_crash_while_writing_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write(folder, 5)
    with pytest.raises(OSError, match="disk full"):
        write_half(folder, 10)
    latest = folder.latest()
    assert latest is not None
    assert latest.name == "step-000005"
    write(folder, 10)
    assert not list(folder.checkpoints.glob("*.partial"))


def test_writing_a_step_again_replaces_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write(folder, 5)
    with folder.checkpoint(5, keep=2) as partial:
        (partial / "weights").write_text("again")
    latest = folder.latest()
    assert latest is not None
    assert (latest / "weights").read_text() == "again"


def test_resuming_drops_the_lines_of_later_steps(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    append_jsonl(folder.metrics, [{"step": step} for step in range(1, 6)])
    folder.truncate_metrics(3)
    assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [
        1,
        2,
        3,
    ]


def test_an_atomic_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "result.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
