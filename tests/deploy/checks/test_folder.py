"""A run's folder has one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from actors.runs.folder import RunFolder
from deploy.checks.folder import sole_run
from deploy.errors import ConfigError


def test_a_second_run_in_one_folder_is_refused_while_the_first_is_under_way(
    tmp_path: Path,
) -> None:
    folder, other = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    with sole_run(folder):
        with pytest.raises(ConfigError, match=r"another run is under way in .*first"), \
                sole_run(RunFolder(folder.root)):  # fmt: skip
            raise AssertionError("two runs in one folder")
        with sole_run(other):
            folder.clear()
    with sole_run(folder):
        assert folder.root.is_dir()


def test_a_file_system_without_locks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", missing)
    folder = RunFolder(tmp_path / "run")
    (tmp_path / ".run.lock").write_text("1234\nanother-machine\n")
    with sole_run(folder):
        assert "no lock keeps a second process out" in caplog.text
    with sole_run(folder):
        folder.clear()


def test_a_deadline_of_the_run_itself_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="no answer"), sole_run(RunFolder(tmp_path / "run")):
        raise TimeoutError("no answer")
