"""A disk that fills at a checkpoint: said before it begins, and the one before stays whole."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors.errors import RunFailed
from actors.runs.checksums import find_corruption
from actors.runs.disk import check_room, is_full, tree_size
from actors.runs.folder import RunFolder, append_jsonl, read_jsonl

SIZE = 5000
"""Bytes of a checkpoint's one file."""


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What every disk says of itself; set its `free`."""
    usage = SimpleNamespace(total=1 << 40, used=0, free=1 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    return usage


def write(folder: RunFolder, step: int) -> None:
    with folder.checkpoint(step, keep=2) as partial:
        (partial / "weights").write_bytes(bytes(SIZE))


def assert_whole(folder: RunFolder, step: int) -> None:
    latest = folder.latest()
    assert latest is not None
    assert latest.name == f"step-{step:06d}"
    assert find_corruption(latest) is None
    assert not list(folder.checkpoints.glob("*.partial"))


def test_a_checkpoint_larger_than_the_free_space_is_not_begun(
    tmp_path: Path, free: SimpleNamespace
) -> None:
    folder = RunFolder(tmp_path)
    write(folder, 5)
    free.free = SIZE - 1
    with pytest.raises(RunFailed, match=r"checkpoint of step 10 was not begun: .*keep_checkpoints"):
        write(folder, 10)
    assert_whole(folder, 5)
    free.free = SIZE
    write(folder, 10)
    assert_whole(folder, 10)


def test_a_disk_that_fills_meanwhile_ends_the_run_with_the_last_whole_checkpoint(
    tmp_path: Path, free: SimpleNamespace
) -> None:
    folder = RunFolder(tmp_path)
    write(folder, 5)

    def fill() -> None:
        with folder.checkpoint(10, keep=2) as partial:
            (partial / "weights").write_bytes(b"the first of it")
            free.free = 4096
            # What torch raises then is no OSError.
            raise RuntimeError("PytorchStreamWriter failed writing file data/0")

    with pytest.raises(RunFailed, match=r"became full while .* step 10 .*removed: .*--resume"):
        fill()
    assert_whole(folder, 5)


@pytest.mark.parametrize(("number", "full"), [(errno.EDQUOT, True), (errno.EROFS, False)])
def test_a_quota_that_is_used_up_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, full: bool
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    assert not is_full(tmp_path)
    assert not [*tmp_path.iterdir()]
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert is_full(tmp_path) is full


def test_a_file_system_that_does_not_say_its_size_has_room(
    tmp_path: Path, free: SimpleNamespace
) -> None:
    free.total = free.free = 0
    check_room(tmp_path, 1 << 50, "a checkpoint")
    assert not is_full(tmp_path)


def test_another_failure_of_a_checkpoint_stays_what_it_is(
    tmp_path: Path, free: SimpleNamespace
) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="defect"), folder.checkpoint(5, keep=2):
        raise ValueError("defect")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_rows_that_a_full_disk_takes_in_part_are_an_error_and_cut_off_lines_are_dropped(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'") as raised:
        append_jsonl(Path("/dev/full"), [{"step": 1}])
    assert raised.value.errno == errno.ENOSPC
    path = tmp_path / "metrics.jsonl"
    append_jsonl(path, [{"step": 1}])
    with path.open("ab") as file:
        file.write(b'{"step": 2, "rew')
    assert read_jsonl(path) == [{"step": 1}]


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    assert tree_size(tmp_path / "missing") == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(10))
    (tmp_path / "c").write_bytes(bytes(5))
    assert tree_size(tmp_path) == 15
