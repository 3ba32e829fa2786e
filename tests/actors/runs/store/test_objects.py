"""A run's objects: a checkpoint is whole or unsealed, and what was stored comes back."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors.errors import RunFailed
from actors.runs.checksums import CHECKSUMS, find_corruption, write_checksums
from actors.runs.folder import RunFolder
from actors.runs.store.objects import RunStore, run_files
from tests.actors.runs.store.stores import FlakyFileSystem, fail, flaky_store, made_run

SEAL = f"checkpoints/step-000020/{CHECKSUMS}"


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return flaky_store() if request.param == "memory" else RunStore(f"file://{tmp_path}/s/hot")


def put(store: RunStore, folder: RunFolder) -> None:
    for file in run_files(folder):
        store.put(file, file.relative_to(folder.root).as_posix())
    checkpoint = folder.latest()
    assert checkpoint is not None
    assert store.put_checkpoint(checkpoint, lambda: None)


def test_a_run_comes_back_as_it_was_stored(store: RunStore, tmp_path: Path) -> None:
    assert store.names() == set()
    assert store.fetch(tmp_path / "none") is None
    for step in (10, 20):
        folder = made_run(tmp_path / "here", step)
        put(store, folder)
    checkpoint = folder.latest()
    assert checkpoint is not None
    store.remove("checkpoints/latest")
    assert not store.put_checkpoint(checkpoint, lambda: None), "it is there already"
    assert store.read("checkpoints/latest") == b"step-000020\n"
    assert store.sealed() == ["step-000010", "step-000020"]
    assert store.fetch(tmp_path / "there") == "step-000020"
    there = RunFolder(tmp_path / "there")
    assert there.metrics.read_text() == folder.metrics.read_text()
    fetched = there.latest()
    assert fetched is not None
    assert (fetched.name, find_corruption(fetched)) == ("step-000020", None)
    assert [path.name for path in there.checkpoints.glob("step-*")] == ["step-000020"]
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "there", "s"}


def test_the_seal_is_the_last_object_and_goes_first(tmp_path: Path) -> None:
    store, folder = flaky_store(), made_run(tmp_path, 20)
    put(store, folder)
    written = [path.partition("/hot/")[2] for path in FlakyFileSystem.written]
    assert written[0] == "metrics.jsonl"
    assert written[-2:] == [SEAL, "checkpoints/latest"]
    # Another checkpoint of this step, of which not all gets there, leaves none that looks whole.
    (folder.checkpoints / "step-000020" / "more").write_text("x")
    made_run(tmp_path, 20)
    (folder.checkpoints / "step-000020" / "learner" / "rank-0").write_text("other")
    write_checksums(folder.checkpoints / "step-000020")
    fail(1, "rank-0")
    with pytest.raises(OSError, match="slow down"):
        store.put_checkpoint(folder.checkpoints / "step-000020", lambda: None)
    assert store.sealed() == []


def test_a_checkpoint_that_is_replaced_meanwhile_is_not_sealed(tmp_path: Path) -> None:
    store, folder = flaky_store(), made_run(tmp_path, 20)
    checkpoint = folder.checkpoints / "step-000020"
    put_file = store.put

    def replace(file: Path, name: str) -> None:
        put_file(file, name)
        (checkpoint / CHECKSUMS).write_text("{}")

    store.put = replace  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="replaced while it was uploaded"):
        store.put_checkpoint(checkpoint, lambda: None)
    assert store.sealed() == []


def test_a_corrupt_checkpoint_is_not_fetched(
    store: RunStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (10, 20):
        put(store, made_run(tmp_path / "here", step))
    store.write("checkpoints/step-000020/learner/rank-0", b"cut")
    assert store.fetch(tmp_path / "there") == "step-000010"
    assert "step-000020 is corrupt and not used: learner/rank-0 holds 3 bytes" in caplog.text
    latest = RunFolder(tmp_path / "there").latest()
    assert latest is not None
    assert latest.name == "step-000010"


def test_old_checkpoints_go_as_they_do_in_the_folder(store: RunStore, tmp_path: Path) -> None:
    for step in (10, 20, 30):
        put(store, made_run(tmp_path / "here", step))
    store.prune("step-000030", keep=2, keep_whole=1)
    names = {name for name in store.names() if name.startswith("checkpoints/step-0000")}
    assert {name for name in names if "step-000030" not in name} == {
        "checkpoints/step-000020/policy/config.json"
    }
    assert store.sealed() == ["step-000030"]
    folders = (store.path(f"checkpoints/{name}") for name in ("step-000010", "step-000020/learner"))
    assert not any(map(store.fs.exists, folders)), "no empty folders stay"
    store.clear()
    assert store.names() == set()


def test_a_checkpoint_that_is_being_removed_is_not_sealed(store: RunStore, tmp_path: Path) -> None:
    checkpoint = made_run(tmp_path / "here", 20).checkpoints / "step-000020"
    shutil.rmtree(checkpoint / "learner")
    with pytest.raises(FileNotFoundError, match="rank-0"):
        store.put_checkpoint(checkpoint, lambda: None)
    assert store.sealed() == []


def test_what_is_left_of_uploads_that_were_given_up_counts_as_none(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20, 30):
        put(store, made_run(tmp_path / "here", step))
    store.remove(SEAL)
    listed = store.fs.find
    late = f"step-000030/{CHECKSUMS}"
    with monkeypatch.context() as patch:  # a list that is a moment behind
        patch.setattr(store.fs, "find", lambda *_, **__: {
            path: facts for path, facts in listed(store.path(""), detail=True).items()
            if not path.endswith(late)})  # fmt: skip
        store.prune("step-000030", keep=2, keep_whole=None)
    assert store.sealed() == ["step-000010", "step-000030"]
    assert not any("step-000020" in name for name in store.names())


def test_a_file_system_that_removes_full_folders_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(f"file://{tmp_path}/s/hot")
    for step in (10, 20):
        put(store, made_run(tmp_path / "here", step))
    monkeypatch.setattr(store.fs, "rmdir", shutil.rmtree)
    store.prune("step-000020", keep=1, keep_whole=None)
    assert store.sealed() == ["step-000020"]


def test_what_the_disk_has_no_room_for_is_not_fetched(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, made_run(tmp_path / "here", 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, free=10))
    with pytest.raises(RunFailed, match=r"hot was not fetched: .* set staging_dir to a larger"):
        store.fetch(tmp_path / "there")
    assert not [*tmp_path.glob("there*")]


def test_only_what_lies_below_a_run_is_its(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, made_run(tmp_path / "here", 20))
    names, root = store.names(), store.path("").removesuffix("/")
    paths = store.fs.find(root, detail=True)
    size = {"size": None}
    others = (root, f"{root}/", f"{root}/checkpoints/", f"{root}-2/metrics.jsonl")
    monkeypatch.setattr(store.fs, "find", lambda *_, **__: paths | dict.fromkeys(others, size))
    assert store.names() == names
    outside = {f"{root}/checkpoints/step-000020/../../../outside": size}
    monkeypatch.setattr(store.fs, "find", lambda *_, **__: paths | outside)
    with pytest.raises(ValueError, match="outside' is none of a run"):
        store.fetch(tmp_path / "there")
