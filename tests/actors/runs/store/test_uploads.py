"""Uploads beside a run: what fails is tried again, told, and never holds up the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.runs.folder import RunFolder
from actors.runs.store import uploads as uploads_module
from actors.runs.store.lease import Lease
from actors.runs.store.objects import LEASE, RunStore
from actors.runs.store.uploads import Uploads
from tests.actors.runs.store.stores import FlakyFileSystem, fail, flaky_store, made_run, save


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_module, "_FIRST_DELAY_S", 0.001)


@pytest.fixture
def store() -> RunStore:
    return flaky_store()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return made_run(tmp_path / "run", 10)


def begun(folder: RunFolder, store: RunStore, **settings: float) -> Uploads:
    lease = Lease(store, folder.root)
    lease.acquire()
    retry_s = settings.pop("retry_s", 10.0)
    return Uploads(folder, store, lease, LoopConfig.model_validate(settings), retry_s)


@pytest.fixture
def uploads(folder: RunFolder, store: RunStore) -> Iterator[Uploads]:
    uploads = begun(folder, store)
    yield uploads
    uploads.close()


def test_new_and_changed_files_are_uploaded_once(
    folder: RunFolder, store: RunStore, uploads: Uploads
) -> None:
    uploads.finish()
    assert uploads.figures() == {"store/step": 10, "store/failures": 0}
    FlakyFileSystem.written.clear()
    folder.result.write_text("{}")
    (folder.root / "latest-run").symlink_to("nowhere")
    (folder.root / ".result.json.x1").touch()
    folder.rollouts.mkdir()
    (folder.rollouts / "step-000010.partial").touch()
    (folder.root / ".policy-x7" / "fresh").mkdir(parents=True)
    (folder.root / ".policy-x7" / "fresh" / "model.safetensors").touch()
    uploads.finish()
    assert [Path(path).name for path in FlakyFileSystem.written] == ["result.json"]
    made_run(folder.root, 20, 30, keep=2)
    uploads.finish()
    assert store.sealed() == ["step-000010", "step-000030"], "20 was left out for 30"
    assert store.read("metrics.jsonl") == b'{"step": 30}\n'
    made_run(folder.root, 40, keep=2)
    uploads.finish()
    assert store.sealed() == ["step-000030", "step-000040"]


def test_a_failed_upload_is_tried_again(
    store: RunStore, uploads: Uploads, caplog: pytest.LogCaptureFixture
) -> None:
    fail(3, "rank-0")
    uploads.finish()
    assert uploads.figures() == {"store/step": 10, "store/failures": 3}
    assert store.sealed() == ["step-000010"]
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not warnings, "nothing that a person has to do"


def test_a_store_that_is_away_is_told_and_fails_the_end_of_the_run_only(
    folder: RunFolder, store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    uploads = begun(folder, store, retry_s=0.0)
    fail(10**6)
    uploads.request()
    with pytest.raises(RunFailed, match=r"lacks files of it \(newest .*: none\): 503 slow down"):
        uploads.finish()
    assert "not uploaded, the next checkpoint tries again: OSError: 503" in caplog.text
    uploads.check()
    fail(0)
    uploads.finish()
    assert store.sealed() == ["step-000010"]
    uploads.close()


def test_an_upload_that_hangs_fails_the_end_by_its_deadline(
    folder: RunFolder, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = begun(folder, store, checkpoint_timeout_s=0.05)
    monkeypatch.setattr(uploads_module, "_CLOSE_S", 0.05)
    monkeypatch.setattr(store, "put", lambda *_: uploads._closing.wait(10))
    with pytest.raises(RunFailed, match=r"not uploaded within 0.05 s.*--resume"):
        uploads.finish()
    uploads.close()


def test_a_store_that_lets_nobody_remove_takes_checkpoints_all_the_same(
    folder: RunFolder,
    store: RunStore,
    uploads: Uploads,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(store.fs, "rm_file", refuse)
    for step in (20, 30):
        uploads.finish()
        save(folder, step, keep=2)
    uploads.finish()
    assert store.sealed() == ["step-000010", "step-000020", "step-000030"]
    assert "old checkpoints stay until the next upload: PermissionError" in caplog.text
    assert uploads.figures() == {"store/step": 30, "store/failures": 1}


def test_a_run_that_did_not_begin_uploads_nothing(folder: RunFolder, store: RunStore) -> None:
    uploads = begun(folder, store)
    uploads.close()
    uploads._thread.join(10)
    assert not uploads._thread.is_alive()
    assert store.names() == set(), "what is in the folder may be of another run"


def test_a_checkpoint_is_not_ahead_of_the_figures(
    folder: RunFolder, store: RunStore, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_file, saved = store.put, [20]

    def save_after(file: Path, name: str) -> None:
        put_file(file, name)
        if name == folder.metrics.name and saved:
            save(folder, saved.pop(), keep=1)  # the run goes on meanwhile

    monkeypatch.setattr(store, "put", save_after)
    uploads.finish()
    assert store.read("metrics.jsonl") == b'{"step": 10}\n'
    assert store.sealed() == ["step-000010"]
    uploads.finish()
    assert store.sealed() == ["step-000010", "step-000020"]


def test_an_upload_that_does_not_end_is_told_once(
    folder: RunFolder,
    store: RunStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    uploads, under_way, go_on = begun(folder, store), threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        under_way.set()
        go_on.wait(10)

    monkeypatch.setattr(store, "put", hang)
    uploads.request()
    assert under_way.wait(10)
    uploads.check()
    assert not caplog.records
    uploads._late_at = 0.0
    uploads.check()
    uploads.check()
    (record,) = caplog.records
    assert "an upload has not ended within loop.checkpoint_timeout_s (3600 s)" in record.message
    go_on.set()
    uploads.close()


def test_a_run_that_lost_its_store_seals_nothing_more(
    folder: RunFolder, store: RunStore, uploads: Uploads
) -> None:
    store.write(LEASE, b'{"token": "t", "pid": 7, "host": "other", "time": 0}')
    with pytest.raises(RunFailed, match="another run has taken"):
        uploads.finish()
    assert store.sealed() == []
    with pytest.raises(RunFailed, match="another run has taken"):
        uploads.check()


def test_a_checkpoint_that_is_uploaded_is_not_removed_by_newer_ones(folder: RunFolder) -> None:
    folder.held = "step-000010"
    save(folder, 20, keep=1)
    save(folder, 30, keep=1)
    assert sorted(path.name for path in folder.checkpoints.glob("step-*")) == [
        "step-000010",
        "step-000030",
    ]
    folder.held = None
    save(folder, 40, keep=1)
    assert [path.name for path in folder.checkpoints.glob("step-*")] == ["step-000040"]
