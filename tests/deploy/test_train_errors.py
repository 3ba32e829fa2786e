"""A run that cannot start or ends early is one message with the remedy, and never a traceback."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import ray

from actors.errors import RunFailed
from actors.runs.folder import RunFolder
from deploy.cli import main
from deploy.train import notes_on_continuing


def start(tmp_path: Path, *arguments: str) -> int:
    return main(
        ["train", "--runs_dir", str(tmp_path / "runs"), "--placement.min_free_memory_gib", "0",
         *arguments]
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here starts Ray. Other tests of this process may be connected to one: it stays."""

    def init(**_: object) -> None:
        raise AssertionError("Ray is started")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)


def only_message(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith("stepcoder: ")
    return error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "data.train_path {path}: No such file or directory; expected a file of problems"),
        ('{"id": "p0", "question": "q"\n', "{path}: record 1: json: "),
        ('{"id": "p0", "question": "q"}\n', "{path}: "),
    ],
)
def test_a_wrong_path_or_a_broken_file_is_named_before_ray_starts(
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    message: str,
) -> None:
    path = tmp_path / "train.jsonl"
    if content is not None:
        path.write_text(content)
    status = start(
        tmp_path, "--model.path", str(tiny_model), "--data.kind", "jsonl",
        "--data.train_path", str(path), "--data.heldout_path", str(path),
    )  # fmt: skip
    assert status == 2
    assert message.format(path=path) in only_message(capsys)
    assert not (tmp_path / "runs").exists()


def test_a_node_that_times_out_at_startup_is_one_message(
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def time_out(**_: object) -> None:
        # What Ray raises; it has no class of its own (ray/_private/node.py).
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", time_out)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    small = ("--data.train_per_tier", "1", "--data.heldout_per_tier", "1")
    assert start(tmp_path, "--model.path", str(tiny_model), *small) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert "timed out during startup" in message
    assert "Try again when the machine is less busy" in message
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["cache"]


@pytest.mark.parametrize("mode", ["token", "disabled", None])
def test_a_run_authenticates_as_its_cluster_does(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    """On a cluster without tokens a run has none, and sets nothing that asks for one."""
    modes: list[str | None] = []

    def join(**_: object) -> None:
        modes.append(os.environ.get("RAY_AUTH_MODE"))
        raise ConnectionError("no cluster")

    monkeypatch.setattr(ray, "init", join)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    small = ("--data.train_per_tier", "1", "--data.heldout_per_tier", "1")
    assert start(tmp_path, "--model.path", str(tiny_model), *small) == 1
    assert modes == [mode]


def test_a_tokenizer_that_cannot_be_read_is_named_before_ray_starts(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "tokenizer.json").write_text("{}")
    assert start(tmp_path, "--model.path", str(model)) == 2
    assert f"{model}: its tokenizer cannot be read: " in only_message(capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunFailed("lost"), TimeoutError("late")])
def test_whatever_ends_a_run_says_from_which_step_to_continue(
    tmp_path: Path, error: BaseException
) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.clear()
    with pytest.raises(type(error)) as raised, notes_on_continuing(folder):
        raise type(error)(*error.args)
    assert raised.value.__notes__ == [
        "no checkpoint was written yet: start the run again from the beginning"
    ]
    with folder.checkpoint(20, keep=1) as partial:
        (partial / "weights").write_text("x")
    with pytest.raises(type(error)) as raised, notes_on_continuing(folder):
        raise type(error)(*error.args)
    [note] = raised.value.__notes__
    assert note.startswith("continue with --resume, from step 20 (")
