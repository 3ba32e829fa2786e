"""Run folders: checkpoints are whole or absent, and resuming drops lines of later steps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.runs.checksums import find_corruption, write_checksums
from actors.runs.folder import RunFolder, append_jsonl


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


def test_of_older_checkpoints_only_the_policy_is_left_by_choice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = RunFolder(tmp_path)
    for step in (5, 10, 15, 20):
        with folder.checkpoint(step, keep=3, keep_whole=1) as partial:
            (partial / "trainer.json").write_text("{}")
            for name in ("learner", "policy"):
                (partial / name).mkdir()
                (partial / name / "weights").write_text(str(step))
    kept = {
        str(path.relative_to(folder.checkpoints)) for path in folder.checkpoints.rglob("weights")
    }
    older = {f"step-{step:06d}/policy/weights" for step in (10, 15)}
    assert kept == {*older, "step-000020/learner/weights", "step-000020/policy/weights"}
    (folder.checkpoints / "step-000020" / "trainer.json").unlink()
    assert folder.latest() is None, "a policy alone is no checkpoint"
    assert "step-000015" not in caplog.text


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


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda folder: (folder / "weights").write_text("16"), "weights was changed"),
        (lambda folder: (folder / "weights").write_text("1"), "weights holds 1 bytes instead of 2"),
        (lambda folder: (folder / "weights").unlink(), "weights is missing"),
        (
            lambda folder: (folder / "checksums.json").write_text("{"),
            "its checksums.json cannot be read",
        ),
        (lambda folder: (folder / "checksums.json").unlink(), "its checksums.json cannot be read"),
    ],
)
def test_a_corrupt_checkpoint_is_skipped_with_a_warning(
    corrupt: Callable[[Path], object],
    message: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = RunFolder(tmp_path)
    write(folder, 10)
    write(folder, 15)
    corrupt(folder.checkpoints / "step-000015")
    latest = folder.latest()
    assert latest is not None
    assert latest.name == "step-000010"
    assert "step-000015 is corrupt and not used" in caplog.text
    assert message in caplog.text
    corrupt(latest)
    assert folder.latest() is None


def test_a_checkpoint_is_on_disk_before_it_counts_as_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, on_disk, fsync = RunFolder(tmp_path), list[str](), os.fsync

    def recorded(handle: int) -> None:
        fsync(handle)
        on_disk.append(os.readlink(f"/proc/self/fd/{handle}"))

    monkeypatch.setattr("os.fsync", recorded)
    with folder.checkpoint(5, keep=1) as partial:
        (partial / "learner").mkdir()
        (partial / "learner" / "weights").write_text("5")
    root = folder.checkpoints
    written = [name.removeprefix(f"{root}/step-000005.partial/") for name in on_disk]
    assert written[:2] == ["learner", "learner/weights"]
    assert written[2].startswith(".checksums.json.")
    assert on_disk[3:5] == [f"{root}/step-000005.partial", str(root)]
    assert on_disk[5].startswith(f"{root}/.latest.")


def test_a_change_at_the_ends_or_within_a_large_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    write_checksums(tmp_path)
    assert find_corruption(tmp_path) is None
    for at in (0, (20 * 99 // 63) << 20, (100 << 20) - 1):
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"\1")
        assert find_corruption(tmp_path) == "large was changed after it was written"
        write_checksums(tmp_path)


@pytest.mark.parametrize("keep", [1, 2])
def test_a_later_checkpoint_that_is_not_used_takes_no_place_of_a_newer_one(
    tmp_path: Path, keep: int
) -> None:
    folder = RunFolder(tmp_path)
    for step in (10, 20):
        write(folder, step)
    (folder.checkpoints / "latest").write_text(
        "step-000010\n"
    )  # it crashed before this was changed
    write(folder, 15, keep)
    latest = folder.latest()
    assert latest is not None
    assert latest.name == "step-000015"
    kept = sorted(path.name for path in folder.checkpoints.glob("step-*"))
    assert kept == ["step-000010", "step-000015"][-keep:]


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


def test_resuming_drops_a_line_that_was_cut_off(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = [{"step": 1, "text": "\u2028 a line separator, \r and \N{SNOWMAN}"}, {"step": 2}]
    append_jsonl(folder.metrics, rows)
    whole = folder.metrics.read_bytes()
    torn = json.dumps({"step": 1, "text": "\N{SNOWMAN}"}, ensure_ascii=False).encode()
    folder.metrics.write_bytes(whole + torn[: torn.index(b"\xe2") + 1])
    folder.truncate_metrics(2)
    assert folder.metrics.read_bytes() == whole
