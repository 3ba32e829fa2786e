"""Which folder a run may use, and what it may go on from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.runs.folder import RunFolder
from deploy.checks.folder import check_folder, recorded_result
from deploy.config import load_config
from deploy.errors import ConfigError


def test_a_run_folder_in_use_is_kept(tmp_path: Path) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path)])
    folder = RunFolder(tmp_path / config.name)
    check_folder(folder, config, resume=False, overwrite=False)
    folder.clear()
    folder.metrics.write_text("{}\n")
    with pytest.raises(ConfigError, match="holds another run"):
        check_folder(folder, config, resume=False, overwrite=False)
    check_folder(folder, config, resume=False, overwrite=True)
    assert folder.metrics.read_text() == "{}\n", "checking changes nothing"


def test_a_run_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path / "runs")])
    folder = RunFolder(tmp_path / "runs" / config.name)
    # Root may write to any folder but those of a file system that is mounted read-only.
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(ConfigError, match=f"{tmp_path} is read-only: choose another --name, or"):
        check_folder(folder, config, resume=False, overwrite=False)
    folder.root.mkdir(parents=True)
    check_folder(folder, config, resume=False, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["mbpp", "sandbox.json", ".git", "step-000001.jsonl.gz"])
def test_a_folder_that_is_of_no_run_is_not_replaced(
    tmp_path: Path, name: str, overwrite: bool
) -> None:
    """`--name eval` would remove the evaluations below `runs/eval`, `--name bench` the figures."""
    config = load_config(None, ["--runs_dir", str(tmp_path), "--name", "eval"])
    folder = RunFolder(tmp_path / "eval")
    folder.root.mkdir()
    folder.root.joinpath(name).touch()
    with pytest.raises(ConfigError, match=rf"eval holds {name} and no run: it would be removed"):
        check_folder(folder, config, resume=False, overwrite=overwrite)
    folder.checkpoints.mkdir()
    with pytest.raises(ConfigError, match="no run: it" if overwrite else "holds another run"):
        check_folder(folder, config, resume=False, overwrite=overwrite)
    folder.config.touch()
    if overwrite:
        check_folder(folder, config, resume=False, overwrite=True)


def test_the_rest_of_a_run_that_hardly_began_is_replaced(tmp_path: Path) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path)])
    folder = RunFolder(tmp_path / config.name)
    for path in (folder.rollouts, folder.root / "tensorboard", folder.root / "wandb"):
        path.mkdir(parents=True)
    for name in (
        "config.yaml",
        ".config.yaml.x7_a",
        "log.txt",
        "curriculum.jsonl",
        ".nfs0012",
        "lost+found",
    ):
        folder.root.joinpath(name).touch()
    check_folder(folder, config, resume=False, overwrite=False)
    folder.policy.mkdir()
    with pytest.raises(ConfigError, match="holds another run"):
        check_folder(folder, config, resume=False, overwrite=False)


def test_data_in_the_folder_that_a_run_replaces_are_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "hot")
    for key in ("train", "heldout"):
        paths = {"train": tmp_path / "train.jsonl", "heldout": tmp_path / "heldout.jsonl"}
        paths[key] = folder.root / "data.jsonl"
        given = [f"--data.{name}_path={path}" for name, path in paths.items()]
        config = load_config(None, ["--data.kind=jsonl", "--model.path=m", *given])
        with pytest.raises(ConfigError, match=rf"data\.{key}_path .* lies in .*hot, which"):
            check_folder(folder, config, resume=False, overwrite=True)


def test_a_model_in_the_folder_that_a_run_replaces_is_refused(tmp_path: Path) -> None:
    policy = tmp_path / "runs" / "run" / "policy"
    policy.mkdir(parents=True)
    (tmp_path / "link").symlink_to(policy)
    folder = RunFolder(tmp_path / "runs" / "run")
    for path in (policy, tmp_path / "link"):
        config = load_config(None, ["--model.path", str(path)])
        with pytest.raises(ConfigError, match=r"lies in .* which this run would replace"):
            check_folder(folder, config, resume=False, overwrite=True)
    check_folder(RunFolder(tmp_path / "runs" / "next"), config, resume=False, overwrite=True)


def test_a_run_that_has_done_all_its_steps_is_not_resumed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    config = load_config(None, ["--loop.steps", "7"])
    assert recorded_result(folder, config) is None
    folder.result.write_text('{"steps": 7}')
    assert recorded_result(folder, config) == {"steps": 7}
    assert recorded_result(folder, load_config(None, ["--loop.steps", "8"])) is None
    for damaged in ('{"steps": 7', "{}", "[]"):
        folder.result.write_text(damaged)
        with pytest.raises(ConfigError, match=r"result\.json: not the result of a run; remove it"):
            recorded_result(folder, config)


def test_a_resumed_run_keeps_the_commit_of_its_model(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.checkpoint(3, keep=2) as partial:
        (partial / "file").write_text("x")
    pinned = f"owner/model@{'a' * 40}"
    folder.config.write_text(load_config(None, ["--model.path", pinned]).to_yaml())
    for path in ("owner/model", "owner/model@main", pinned):
        config = load_config(None, ["--model.path", path])
        assert check_folder(folder, config, resume=True, overwrite=False).model.path == pinned
    other = load_config(None, ["--model.path", "owner/other"])
    with pytest.raises(ConfigError, match=r"model\.path .*\): the weights of the checkpoint"):
        check_folder(folder, other, resume=True, overwrite=False)


def test_resume_needs_a_checkpoint_and_the_same_configuration(tmp_path: Path) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path)])
    folder = RunFolder(tmp_path / config.name)
    with pytest.raises(ConfigError, match="no checkpoint"):
        check_folder(folder, config, resume=True, overwrite=False)
    folder.clear()
    folder.config.write_text(config.to_yaml())
    with folder.checkpoint(3, keep=2) as partial:
        (partial / "file").write_text("x")
    longer = load_config(None, ["--runs_dir", str(tmp_path), "--loop.steps", "7"])
    check_folder(folder, longer, resume=True, overwrite=False)
    hotter = load_config(None, ["--runs_dir", str(tmp_path), "--rollout.temperature", "0.5"])
    with pytest.raises(ConfigError, match=r"differs from (?s:.*)rollout\.temperature \(1.0 there"):
        check_folder(folder, hotter, resume=True, overwrite=False)
