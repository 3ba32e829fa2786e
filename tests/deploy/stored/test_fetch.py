"""Commands read runs in an object store: they fetch what they need of them, once."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.runs.store.objects import RunStore
from deploy.cli import main
from deploy.commands.export import _checkpoint, _fetched_checkpoint
from deploy.commands.runs.result import result
from deploy.errors import ConfigError
from deploy.evaluation.subject import subject_of
from deploy.inspection.site import open_source
from deploy.report.runs import write
from deploy.report.runs.history import RunHistory
from deploy.stored import fetch as fetching
from deploy.stored import reach
from deploy.stored.fetch import (
    fetch,
    figures,
    local_folder,
    model,
    rollouts,
    rollouts_and_checkpoints,
)
from deploy.stored.listing import MOST, holds, runs_in
from tests.actors.runs.store.stores import FlakyFileSystem, flaky_store, made_run
from tests.deploy.report.runs.made_runs import write_run
from tests.deploy.report.test_result_table import RESULT


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the commands are started."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """A store with the run `hot`."""
    run = write_run(tmp_path / "bucket" / "hot", steps=3)
    (run / "result.json").write_text(json.dumps(RESULT))
    (run / "rollouts").mkdir()
    (run / "rollouts" / "step-000001.jsonl").write_text("{}\n")
    (run / "policy").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (run / "policy" / name).write_text("{}")
    return run.parent


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_itself() -> None:
    assert local_folder("runs/hot", figures) == Path("runs/hot")


def test_a_report_fetches_figures_and_nothing_else(bucket: Path, here: Path) -> None:
    folder = local_folder(f"file://{bucket}/hot/", figures)
    assert folder.name == "hot"
    assert folder.is_relative_to(here / "runs" / "fetched")
    assert "config.yaml" in files(folder)
    assert not any(name.startswith(("rollouts", "policy")) for name in files(folder))
    assert RunHistory.read(folder).step == RunHistory.read(bucket / "hot").step
    also = local_folder(f"file://{bucket}/hot", rollouts)
    assert also == folder
    assert "rollouts/step-000001.jsonl" in files(folder)


def test_a_second_look_fetches_what_is_new_and_removes_what_is_gone(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = f"file://{bucket}/hot"
    folder = fetch(url, figures)
    assert "fetching" in caplog.text
    assert url in caplog.text
    asked = []
    get = RunStore.get
    monkeypatch.setattr(RunStore, "get", lambda *a: (asked.append(a[1]), get(*a)))
    fetch(url, figures)
    assert not asked
    (bucket / "hot" / "result.json").unlink()
    with (bucket / "hot" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4}\n')
    fetch(url, figures)
    assert asked == ["metrics.jsonl"]
    assert RunHistory.read(folder).result is None
    (folder / "config.yaml").unlink()
    fetch(url, figures)
    assert asked == ["metrics.jsonl", "config.yaml"]


def test_results_of_stored_runs_are_printed(
    bucket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["result", f"file://{bucket}/hot"]) == 0
    assert "overall" in capsys.readouterr().out
    assert main(["compare", f"file://{bucket}/hot", str(bucket / "hot")]) == 0
    assert "metrics" not in capsys.readouterr().err


def test_a_watched_report_looks_into_the_store_once_a_minute(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def watch(
        runs: list[Path], out: Path, every_s: float, look: Callable[[], None]
    ) -> Iterator[Path]:
        assert (out, every_s) == (runs[0] / "report", 60)
        (bucket / "hot" / "result.json").unlink()
        look()
        assert not (runs[0] / "result.json").exists()
        shutil.rmtree(bucket)
        look()
        yield out

    monkeypatch.setattr(write, "watch_report", watch)
    assert main(["report", f"file://{bucket}/hot", "--watch"]) == 0
    assert "nothing is there" in caplog.text, "the watch goes on"


def test_a_policy_is_fetched_to_be_evaluated(bucket: Path) -> None:
    subject = subject_of(f"file://{bucket}/hot")
    assert subject.name == "hot"
    assert subject.folder is not None
    assert files(subject.folder) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert subject.run_config is not None
    alone = subject_of(f"file://{bucket}/hot/policy")
    assert (alone.name, alone.run_config) == ("policy", None)
    shutil.rmtree(bucket / "hot" / "policy")
    with pytest.raises(ConfigError, match=r"file://.*: this run has no policy yet"):
        subject_of(f"file://{bucket}/hot")


def test_a_checkpoint_is_fetched_whole_and_checked(bucket: Path) -> None:
    run = made_run(bucket / "hot", 10, 20)
    url = f"file://{bucket}/hot"
    newest = _fetched_checkpoint(url)
    assert newest.name == "step-000020"
    assert files(newest) == files(run.checkpoints / "step-000020")
    assert (newest.parents[1] / "config.yaml").is_file()
    assert _fetched_checkpoint(f"{url}/checkpoints/step-000010").name == "step-000010"
    (run.checkpoints / "step-000020" / "checksums.json").unlink()
    assert _fetched_checkpoint(url).name == "step-000010", "the other one is not whole"
    for name in ("step-000020", "step-000030"):
        with pytest.raises(ConfigError, match=f"{name}: no checkpoint there .*: step-000010$"):
            _fetched_checkpoint(f"{url}/checkpoints/{name}")
    (run.checkpoints / "step-000010" / "trainer.json").write_text("[]")
    with pytest.raises(ConfigError, match="step-000010 is corrupt"):
        _fetched_checkpoint(url)
    shutil.rmtree(run.checkpoints)
    with pytest.raises(ConfigError, match=r"hot: no checkpoint there .*: none$"):
        _fetched_checkpoint(url)


def test_a_checkpoint_that_is_removed_meanwhile_is_looked_for_again(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run(bucket / "hot", 10)
    get = RunStore.get

    def first(store: RunStore, name: str, root: Path) -> None:
        monkeypatch.setattr(RunStore, "get", get)
        made_run(run.root, 20, keep=1)
        get(store, name, root)

    monkeypatch.setattr(RunStore, "get", first)
    assert _fetched_checkpoint(f"file://{bucket}/hot").name == "step-000020"


def test_a_folder_of_runs_names_those_in_it(bucket: Path) -> None:
    write_run(bucket / "cold", steps=1)
    (bucket / "cache").mkdir()
    there = f"give one of those in it: {bucket}/cold, {bucket}/hot"
    for read in (RunHistory.read, open_source, result, _checkpoint, subject_of):
        with pytest.raises(ConfigError, match=there):
            read(str(bucket) if read in (result, subject_of) else bucket)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=f"in it: file://{bucket}/cold, file://{bucket}/hot$"):
        fetch(f"file://{bucket}", figures)
    assert runs_in(bucket / "hot") == ""
    assert holds([str(n) for n in range(MOST + 1)]).endswith("6, 7, ...")


def test_what_cannot_be_read_is_named(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"file://.*/nothing/hot: nothing is there"):
        fetch(f"file://{tmp_path}/nothing/hot", figures)
    assert not any((here / "runs" / "fetched").iterdir()), "nothing is left of it"
    with pytest.raises(ConfigError, match=r"s3:/bucket/hot: neither a folder nor a URL"):
        local_folder("s3:/bucket/hot", figures)
    with pytest.raises(ConfigError, match="credentials by the environment") as caught:
        fetch("s3://KEY:SECRET@bucket/runs", figures)
    assert "SECRET" not in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"s3://bucket/hot: .*-m pip install s3fs.*STORES=s3fs"):
        fetch("s3://bucket/hot", figures)


def test_a_store_that_hangs_or_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store, end = flaky_store(), threading.Event()
    store.write("config.yaml", b"{}")
    monkeypatch.setattr(fetching, "OBJECT_S", 0.05)
    monkeypatch.setattr(FlakyFileSystem, "get_file", lambda *_, **__: end.wait(10))
    with pytest.raises(ConfigError, match=r"hot/config.yaml did not answer within 0.05 s"):
        fetch(store.url, figures)
    end.set()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(FlakyFileSystem, "find", refuse)
    with pytest.raises(ConfigError, match="hot: PermissionError: Access Denied: check its address"):
        fetch(store.url, figures)
    assert reach.ANSWER_S > 0


def test_a_disk_without_room_is_said_before(
    bucket: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(here)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(ConfigError, match=r"are to be fetched, and 0 MiB is free in .*fetched"):
        fetch(f"file://{bucket}/hot", figures)


def test_an_object_outside_of_the_run_is_not_written(bucket: Path) -> None:
    store = RunStore(f"file://{bucket}/hot")
    with pytest.raises(ValueError, match="is none of a run"):
        store.get("../config.yaml", bucket)


def test_names_are_chosen_by_what_is_there() -> None:
    names = {"config.yaml", "policy/config.json", "checkpoints/step-000001/learner/a", "log.txt"}
    assert figures(names) == {"config.yaml"}
    assert figures({"metrics.jsonl"}) == set()
    at = "checkpoints/step-000002"
    whole = {f"{at}/learner/a", f"{at}/checksums.json"}
    recorded = {"rollouts/step-000002.jsonl"}
    everything = names | whole | recorded
    assert rollouts_and_checkpoints(everything) == {"config.yaml"} | whole | recorded
    assert rollouts_and_checkpoints(whole | recorded) == set(), "no run without its configuration"
    assert model(names) == {"config.yaml", "policy/config.json"}
    assert model({"config.json", "model.safetensors"}) == {"config.json", "model.safetensors"}
    assert model({"notes"}) == set()
