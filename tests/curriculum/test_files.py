import errno
import os

import pytest

from curriculum.files import named_when_full, write_atomic


@pytest.mark.parametrize("text", ["a\r\nü\n", ["a\r", "\nü\n"]])
def test_text_is_written_as_it_is_and_leaves_no_temporary_file(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text("old")
    write_atomic(path, text)
    assert path.read_bytes() == "a\r\nü\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_other_users_may_read_the_file(tmp_path):
    write_atomic(tmp_path / "result.json", "{}")
    assert (tmp_path / "result.json").stat().st_mode & 0o777 == 0o644


def test_a_failed_write_keeps_the_old_file(tmp_path):
    def parts():
        yield "new"
        raise RuntimeError("the source failed")

    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="the source failed"):
        write_atomic(path, parts())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder; create it first: .*absent'$"):
        write_atomic(tmp_path / "absent" / "result.json", "{}")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"is a file, not a folder: .*file'$"):
        write_atomic(tmp_path / "file" / "result.json", "{}")


def test_a_file_that_cannot_be_made_is_named_as_the_caller_named_it(tmp_path):
    path = tmp_path / ("x" * 255)
    with pytest.raises(OSError, match=f"File name too long: '{path}'"):
        write_atomic(path, "{}")


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "result.json"
    with pytest.raises(OSError, match=rf"Disk quota exceeded: '{path}'"):
        write_atomic(path, "{}")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"^\[Errno 5\] other$"), named_when_full(path):
        raise OSError(errno.EIO, "other")
