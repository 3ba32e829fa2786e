"""Checks before a run: errors that are found before any actor starts, and that change nothing."""

from __future__ import annotations

from pathlib import Path

from actors.runs.folder import RunFolder
from deploy.config import RunConfig, differing_keys, load_config
from deploy.errors import ConfigError
from learner.config import FREE_SETTINGS

RESUME_MAY_CHANGE = ("loop.", "placement.", "pool.", "runs_dir")
"""Keys (or their beginnings) that a resumed run may change, beside those of the learner that do not
change what is learned: how long, on which resources and in which folder the run goes on."""


def check_model_folder(path: Path) -> None:
    """Refuse a folder that holds no Hugging Face model.

    Raises:
        ConfigError: names the folder and the file that is missing.
    """
    for needed in ("config.json", "tokenizer.json"):
        if not (path / needed).is_file():
            raise ConfigError(
                f"model.path {path}: no {needed} there; expected a Hugging Face model folder "
                f"(config.json, *.safetensors, tokenizer.json)"
            )


def check_folder(folder: RunFolder, config: RunConfig, resume: bool, overwrite: bool) -> None:
    """Refuse a run folder that this run must not write to.

    Raises:
        ConfigError: the folder holds another run, there is no checkpoint to resume, or the run to
            resume had a configuration that learns something else.
    """
    if resume:
        if folder.latest() is None:
            raise ConfigError(
                f"--resume: no checkpoint in {folder.checkpoints}; start the run without --resume"
            )
        _check_same_run(folder, config)
    elif folder.in_use() and not overwrite:
        raise ConfigError(
            f"{folder.root} holds another run: choose another --name, continue it with --resume, "
            f"or replace it with --overwrite"
        )


def _check_same_run(folder: RunFolder, config: RunConfig) -> None:
    changed = [
        key
        for key in differing_keys(load_config(folder.config), config)
        if not key.startswith(RESUME_MAY_CHANGE)
        and key.removeprefix("learner.") not in FREE_SETTINGS
    ]
    if changed:
        free = [f"{key}*" if key.endswith(".") else key for key in RESUME_MAY_CHANGE]
        free += [f"learner.{name}" for name in sorted(FREE_SETTINGS)]
        raise ConfigError(
            f"--resume: this configuration differs from {folder.config} at {', '.join(changed)}; "
            f"a resumed run may change {', '.join(free)} only. Resume with the former values, or "
            f"start another run with --name"
        )
