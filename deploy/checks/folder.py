"""Checks before a run: errors that are found before any actor starts, and that change nothing."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from actors.runs.folder import RunFolder
from deploy.checks.resume import check_resumable
from deploy.config import RunConfig, load_config
from deploy.errors import ConfigError
from deploy.sole_writer import sole_writer
from learner.models.source import ModelSource


def check_folder(folder: RunFolder, config: RunConfig, resume: bool, overwrite: bool) -> RunConfig:
    """Refuse a run folder that this run must not write to.

    Returns:
        The configuration; where a run is resumed, with `model.path` at the commit that it began
        with.

    Raises:
        ConfigError: the folder cannot be written to, holds another run or something else, there is
            no checkpoint to resume, or the run to resume had a configuration that learns something
            else.
    """
    _check_writable(folder.root)
    if resume:
        if folder.latest() is None:
            raise ConfigError(
                f"--resume: no checkpoint in {folder.checkpoints}; start the run without --resume"
            )
        former = load_config(folder.config)
        config = _with_former_commit(config, former)
        check_resumable(folder.config, former, config)
    elif folder.in_use() and not overwrite:
        raise ConfigError(
            f"{folder.root} holds another run: choose another --name, continue it with --resume, "
            f"or replace it with --overwrite"
        )
    else:
        _check_replaceable(folder, config)
    return config


def _check_replaceable(folder: RunFolder, config: RunConfig) -> None:
    """Refuse to replace what is no run, or what this run reads."""
    a_run = folder.in_use() and folder.config.exists()
    if not a_run and (foreign := folder.foreign(folder.names())):
        raise ConfigError(
            f"{folder.root} holds {foreign[0]} and no run: it would be removed; choose another "
            "--name, or move it away"
        )
    read = {"model.path": config.model.path, "data.train_path": config.data.train_path,
            "data.heldout_path": config.data.heldout_path}  # fmt: skip
    root = folder.root.resolve()
    for key, path in read.items():
        if path and Path(path).resolve().is_relative_to(root):
            raise ConfigError(
                f"{key} {path} lies in {folder.root}, which this run would replace: choose another "
                "--name, or move it out of there"
            )


def sole_run(folder: RunFolder) -> AbstractContextManager[None]:
    """Be the only run that writes this folder while inside.

    Raises:
        ConfigError: another run is under way there.
    """
    return sole_writer(
        folder.root,
        f"another run is under way in {folder.root}: wait for its end or stop it "
        f"(`ray job list`), or choose another --name",
    )


def _check_writable(root: Path) -> None:
    """Refuse a folder that can neither be written to nor made."""
    place = next(path for path in (root, *root.parents) if os.path.lexists(path))
    remedy = (
        "choose another --name, or set runs_dir (staging_dir, where it is a URL) to a folder that "
        "can be written to"
    )
    if not place.is_dir():
        raise ConfigError(f"{place} is not a folder: {remedy}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{place} is read-only: {remedy}")


def recorded_result(folder: RunFolder, config: RunConfig) -> dict[str, Any] | None:
    """The result of a run that has done all its steps; None where there is something left to do.

    Raises:
        ConfigError: its file does not hold one.
    """
    if not folder.result.is_file():
        return None
    try:
        result = json.loads(folder.result.read_text())
        return result if result["steps"] >= config.loop.steps else None
    except (ValueError, LookupError, TypeError):
        raise ConfigError(
            f"{folder.result}: not the result of a run; remove it to go on with --resume"
        ) from None


def _with_former_commit(config: RunConfig, former: RunConfig) -> RunConfig:
    """A name on the hub, whose revision may have moved, at the commit of the run to resume.

    A folder is compared by its absolute path.
    """
    path, earlier = config.model.path, former.model.path
    if path is None or earlier is None or path == earlier:
        return config
    source, recorded = ModelSource(path).hub_name, ModelSource(earlier).hub_name
    if source is None:
        path = str(Path(path).absolute())
    elif recorded is not None and source[0] == recorded[0]:
        path = earlier
    model = config.model.model_copy(update={"path": path})
    return config.model_copy(update={"model": model})
