"""One run at a time writes below a URL."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from actors.errors import RunFailed
from actors.runs.store import lease as lease_module
from actors.runs.store.lease import EXPIRES_S, Lease
from actors.runs.store.objects import LEASE, RunStore
from tests.actors.runs.store.stores import flaky_store


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_READ_AGAIN_S", (0.0, 0.0))


def held_elsewhere(store: RunStore, age_s: float) -> None:
    lease = {"token": "t", "pid": 7, "host": "other", "time": time.time() - age_s}
    store.write(LEASE, json.dumps(lease).encode())


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    store = flaky_store()
    held_elsewhere(store, age_s=100)
    second = Lease(store, tmp_path)
    with pytest.raises(RunFailed, match=r"under way in flaky://.*\(process 7 on other\).* 200 s"):
        second.acquire()
    held_elsewhere(store, age_s=EXPIRES_S + 1)
    second.check_free()
    second.acquire()
    second.check()
    second.release()
    assert store.read(LEASE) is None


def test_a_killed_run_of_this_folder_keeps_nobody_out(tmp_path: Path) -> None:
    store = flaky_store()
    killed = Lease(store, tmp_path)
    killed.acquire()
    with pytest.raises(RunFailed, match="another run is under way"):
        Lease(store, tmp_path / "other").acquire()
    after = Lease(store, tmp_path)
    after.acquire()
    # Had it only been slow, it learns so, and takes nothing from its successor.
    with pytest.raises(RunFailed, match="another run has taken"):
        killed.look()
    killed.release()
    after.look()
    after.release()


def test_a_run_learns_that_another_has_taken_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = flaky_store()
    lease = Lease(store, tmp_path, renew_s=0.001)
    lease.acquire()
    held_elsewhere(store, age_s=0)
    deadline = time.monotonic() + 10
    while "another run has taken" not in caplog.text:
        assert time.monotonic() < deadline
        held_elsewhere(store, age_s=0)
        time.sleep(0.001)
    with pytest.raises(RunFailed, match=r"\(process 7 on other\).*only one may write"):
        lease.check()
    lease.release()
    assert store.read(LEASE) is not None


def test_a_lease_that_is_half_written_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = flaky_store()
    lease = Lease(store, tmp_path)
    lease.acquire()
    whole = store.read(LEASE)
    parts = [b"", b'{"token": "t"', whole]
    monkeypatch.setattr(store, "read", lambda _: parts.pop(0))
    lease.look()
    assert not parts
    parts = [b"", whole]
    with pytest.raises(RunFailed, match="another run is under way"):
        Lease(store, tmp_path / "other").check_free()
    monkeypatch.setattr(store, "read", lambda _: b"")
    lease.look()  # another run would have written who it is
    monkeypatch.undo()
    lease.release()


def test_one_path_in_two_containers_is_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = flaky_store()
    lease = Lease(store, tmp_path / "hot")
    lease.acquire()
    Lease(store, tmp_path / "hot").check_free()
    monkeypatch.setattr(lease_module, "_inode", lambda _: [0, 0])
    with pytest.raises(RunFailed, match="another run is under way"):
        Lease(store, tmp_path / "hot").check_free()
    lease.release()


def test_a_damaged_lease_is_nobodys(tmp_path: Path) -> None:
    store = flaky_store()
    store.write(LEASE, b"[]")
    lease = Lease(store, tmp_path)
    lease.acquire()
    lease.release()
