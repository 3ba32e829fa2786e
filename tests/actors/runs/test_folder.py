"""Run folders: checkpoints are whole or absent, and resuming drops lines of later steps."""

from __future__ import annotations

import errno
import json
import os
import shutil
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
        (lambda folder: (folder / "checksums.json").write_text("[1]"), "checksums.json cannot be"),
        (lambda folder: (folder / "checksums.json").write_text('{"weights": {}}'), "be read ('byt"),
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


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.EACCES, errno.EIO])
def test_a_file_system_that_cannot_flush_folders_takes_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder, fsync = RunFolder(tmp_path), os.fsync

    def files_alone(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr("os.fsync", files_alone)
    if number == errno.EIO:
        with pytest.raises(OSError, match="Input/output"):
            write(folder, 5)
    else:
        write(folder, 5)
        assert folder.latest() is not None


def test_an_old_checkpoint_that_cannot_be_removed_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, rmtree = RunFolder(tmp_path), shutil.rmtree

    def in_use(path: Path) -> None:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))

    write(folder, 5)
    monkeypatch.setattr(shutil, "rmtree", in_use)
    write(folder, 10, keep=1)
    assert "step-000005 is removed with a later checkpoint" in caplog.text
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    write(folder, 15, keep=1)
    assert [path.name for path in folder.checkpoints.glob("step-*")] == ["step-000015"]


def test_a_folder_that_is_a_link_is_emptied_and_stays(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    for path in (place / "checkpoints" / "step-000005", place / "lost+found", elsewhere):
        path.mkdir(parents=True)
        (path / "weights").touch()
    (place / "data").symlink_to(elsewhere)
    (place / "log.txt").touch()
    root = tmp_path / "hot"
    root.symlink_to(place)
    RunFolder(root).clear()
    assert root.is_symlink()
    assert [*place.iterdir()] == [place / "lost+found"]
    assert (elsewhere / "weights").exists()
    RunFolder(tmp_path / "new" / "run").clear()
    assert (tmp_path / "new" / "run").is_dir()


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rmdir = RunFolder(tmp_path), os.rmdir
    folder.rollouts.mkdir()

    def busy(path: str, dir_fd: int | None = None) -> None:
        if Path(path).name == "rollouts":
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", busy)
    with pytest.raises(OSError, match="rollouts"):
        folder.clear()
    (folder.rollouts / ".nfs0001").touch()
    monkeypatch.setattr(os, "unlink", lambda *_, **__: None)  # NFS renames it to the same name
    folder.clear()


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
