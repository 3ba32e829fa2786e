"""A `runs_dir` that is a URL is reached, free and in step with this machine before a run starts."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.runs.checksums import write_checksums
from actors.runs.folder import RunFolder
from actors.runs.store.lease import EXPIRES_S
from actors.runs.store.objects import LEASE, RunStore
from deploy.checks import store as store_checks
from deploy.checks.folder import sole_run
from deploy.checks.store import (
    can_go_on,
    open_store,
    prepare_store,
    uploading,
    wait_for_lease,
)
from deploy.config import load_config
from deploy.errors import ConfigError
from deploy.stored import reach
from tests.actors.runs.store.stores import made_run

LOOP = LoopConfig()


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    config = load_config(None, ["--runs_dir", f"file://{tmp_path}/bucket", "--name", "hot"])
    assert config.local_runs == Path("runs")
    store = open_store(config)
    assert store is not None
    return store


def uploaded(folder: RunFolder, store: RunStore) -> None:
    with uploading(store, folder, LOOP) as uploads:
        assert uploads is not None
        uploads.finish()


def test_a_folder_has_no_store(tmp_path: Path) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path)])
    assert open_store(config) is None
    assert config.local_runs == tmp_path
    with uploading(None, RunFolder(tmp_path), LOOP) as uploads:
        assert uploads is None


@pytest.mark.parametrize("url", ["s3://bucket/runs", "buckett://runs"])
def test_a_url_without_its_library_is_refused_with_the_command(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match=rf"{url}/run: .*-m pip install s3fs.*STORES=s3fs"):
        open_store(load_config(None, ["--runs_dir", url]))


def test_another_run_in_the_store_is_kept(store: RunStore, tmp_path: Path) -> None:
    here = RunFolder(tmp_path / "runs" / "hot")
    prepare_store(store, here, LOOP, resume=False, overwrite=False)
    uploaded(made_run(tmp_path / "elsewhere" / "hot", 10), store)
    with pytest.raises(ConfigError, match="bucket/hot holds another run: choose another --name"):
        prepare_store(store, here, LOOP, resume=False, overwrite=False)
    prepare_store(store, here, LOOP, resume=False, overwrite=True)
    assert store.sealed() == ["step-000010"], "checking changes nothing"


def test_objects_that_are_of_no_run_are_not_replaced(store: RunStore, tmp_path: Path) -> None:
    here = RunFolder(tmp_path / "runs" / "hot")
    store.write("train/part-0.jsonl", b"{}")
    with pytest.raises(ConfigError, match="hot holds train and no run: it would be removed"):
        prepare_store(store, here, LOOP, resume=False, overwrite=True)
    store.write("config.yaml", b"{}")
    prepare_store(store, here, LOOP, resume=False, overwrite=True)


def test_a_run_goes_on_where_its_files_are_not(store: RunStore, tmp_path: Path) -> None:
    here = RunFolder(tmp_path / "runs" / "hot")
    prepare_store(store, here, LOOP, resume=True, overwrite=False)
    assert not here.in_use(), "there is nothing yet"
    first = made_run(tmp_path / "first" / "hot", 10)
    uploaded(first, store)
    prepare_store(store, here, LOOP, resume=True, overwrite=False)
    assert here.latest() == here.checkpoints / "step-000010"
    uploaded(made_run(here.root, 20), store)
    # The first machine is behind by now; nothing there is replaced unasked.
    with pytest.raises(ConfigError, match=r"has step-000020, and .*first/hot .* step-000010: rem"):
        prepare_store(store, first, LOOP, resume=True, overwrite=False)
    shutil.rmtree(first.root)
    prepare_store(store, first, LOOP, resume=True, overwrite=False)
    assert first.latest() == first.checkpoints / "step-000020"


def test_a_run_that_a_scheduler_begins_again_goes_on_if_it_has_a_checkpoint(
    store: RunStore, tmp_path: Path
) -> None:
    here = RunFolder(tmp_path / "runs" / "hot")
    assert not can_go_on(here, None)
    here.checkpoints.joinpath("step-000000.partial").mkdir(parents=True)
    here.metrics.write_text("{")
    store.write("config.yaml", b"{}")
    assert not can_go_on(here, store), "it was ended before its first checkpoint"
    uploaded(made_run(tmp_path / "first" / "hot", 10), store)
    assert can_go_on(here, store)
    assert not can_go_on(here, None)
    here.policy.mkdir()
    assert can_go_on(here, None), "somebody removed the checkpoints of a run that has ended"
    assert can_go_on(RunFolder(tmp_path / "first" / "hot"), None)


def test_the_lease_of_a_killed_run_is_waited_for(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = RunFolder(tmp_path / "runs" / "hot")
    lease = {"token": "1", "host": "elsewhere", "time": time.time() - EXPIRES_S + 0.05}
    store.write(LEASE, json.dumps(lease).encode())
    with pytest.raises(RunFailed, match="another run is under way"):
        prepare_store(store, here, LOOP, resume=True, overwrite=False)
    wait_for_lease(store, here, pause_s=0.01)
    prepare_store(store, here, LOOP, resume=True, overwrite=False)
    monkeypatch.setattr(store_checks, "EXPIRES_S", -store_checks.RENEW_S)
    store.write(LEASE, json.dumps(lease | {"time": time.time()}).encode())
    with pytest.raises(RunFailed, match="another run is under way"):
        wait_for_lease(store, here, pause_s=0.01)


def test_what_cannot_be_fetched_is_said_before(store: RunStore, tmp_path: Path) -> None:
    here = RunFolder(tmp_path / "runs" / "hot")
    uploaded(made_run(tmp_path / "first"), store)
    store.write("config.yaml", b"{}")
    with pytest.raises(ConfigError, match=r"holds no whole checkpoint, .*again with --overwrite"):
        prepare_store(store, here, LOOP, resume=True, overwrite=False)
    uploaded(made_run(tmp_path / "first", 10), store)
    here.root.mkdir(parents=True)
    here.log.touch()
    with pytest.raises(ConfigError, match="hot holds files, but no run: move them away"):
        prepare_store(store, here, LOOP, resume=True, overwrite=False)
    here.log.unlink()
    with sole_run(here), pytest.raises(ConfigError, match="another run is under way"):
        prepare_store(store, here, LOOP, resume=True, overwrite=False)
    prepare_store(store, here, LOOP, resume=True, overwrite=False)


def test_a_run_that_went_on_in_two_places_is_refused(store: RunStore, tmp_path: Path) -> None:
    first = made_run(tmp_path / "first", 10)
    uploaded(first, store)
    prepare_store(store, first, LOOP, resume=True, overwrite=False)
    (first.checkpoints / "step-000010" / "trainer.json").write_text('{"seconds": 1}')
    write_checksums(first.checkpoints / "step-000010")
    with pytest.raises(ConfigError, match=r"went on in two places; .*store's checkpoints/step-0"):
        prepare_store(store, first, LOOP, resume=True, overwrite=False)
    made_run(first.root, 20, 30)  # the one that they share is gone
    prepare_store(store, first, LOOP, resume=True, overwrite=False)


def test_a_store_in_the_folder_that_is_uploaded_is_refused(tmp_path: Path) -> None:
    for runs, staging in (("a", "a"), ("a", "a/hot"), ("a/hot/b", "a")):
        arguments = ["--runs_dir", f"file://{tmp_path}/{runs}", "--name", "hot",
                     "--staging_dir", str(tmp_path / staging)]  # fmt: skip
        with pytest.raises(ConfigError, match="hold each other"):
            open_store(load_config(None, arguments))


def test_a_store_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(Exception):
        """Like those of the stores' libraries, of no common kind."""

    def refuse(*_: object) -> None:
        raise Refused("no credentials")

    monkeypatch.setattr(reach, "RunStore", refuse)
    config = load_config(None, ["--runs_dir", "gs://bucket/runs"])
    with pytest.raises(ConfigError, match="runs/run: Refused: no credentials: check its"):
        open_store(config)
    end = threading.Event()
    monkeypatch.setattr(reach, "ANSWER_S", 0.05)
    monkeypatch.setattr(reach, "RunStore", lambda *_: end.wait(10))
    with pytest.raises(ConfigError, match=r"did not answer within 0.05 s"):
        open_store(config)
    end.set()


def test_a_second_run_is_refused_and_a_lease_given_back(store: RunStore, tmp_path: Path) -> None:
    with uploading(store, RunFolder(tmp_path / "a"), LOOP):
        assert store.read(LEASE) is not None
        with (
            pytest.raises(RunFailed, match="another run is under way in file://"),
            uploading(store, RunFolder(tmp_path / "b"), LOOP),
        ):
            raise AssertionError("two runs in one store")
        with pytest.raises(RunFailed, match="another run is under way"):
            prepare_store(store, RunFolder(tmp_path / "b"), LOOP, resume=True, overwrite=False)
    assert store.read(LEASE) is None


def test_a_store_that_does_not_answer_is_named(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, end = RunFolder(tmp_path / "hot"), threading.Event()
    monkeypatch.setattr(store_checks, "ANSWER_S", 0.05)
    monkeypatch.setattr(store.fs, "find", lambda *_, **__: end.wait(10))
    with pytest.raises(ConfigError, match=r"bucket/hot did not answer within 0.05 s: check"):
        prepare_store(store, here, LOOP, resume=True, overwrite=False)
    end.set()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(store.fs, "find", refuse)
    with pytest.raises(ConfigError, match=r"bucket/hot: PermissionError: Access Denied: check"):
        prepare_store(store, here, LOOP, resume=False, overwrite=False)
