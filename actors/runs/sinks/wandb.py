"""Weights & Biases: online where there is a key, otherwise files for `wandb sync`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from typing_extensions import override

from actors.runs.sinks.base import PROJECT, Sink, SinkRun

# Not an import statement, because the library is optional and a type checker may not have it.
wandb: Any = import_module("wandb")

_ID = "id"


class WandbSink(Sink):
    """One run of the project `stepcoder` (`WANDB_PROJECT` names another), with its files in
    `wandb/`.

    `WANDB_MODE` decides whether it is online; without it, it is where a key is known to `wandb
    login` or `WANDB_API_KEY`. A resumed run continues the same one. The step is a figure of its
    own, `step`, because a run that returns to a checkpoint repeats steps.
    """

    def __init__(self, run: SinkRun) -> None:
        folder = run.root / "wandb"
        folder.mkdir(exist_ok=True)
        mode = os.environ.get("WANDB_MODE")
        if mode is None and not wandb.api.api_key:
            mode = "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=_kept_id(folder / _ID),
            resume="allow",
            dir=str(run.root),
            config=dict(run.config),
            mode=mode,
            settings=wandb.Settings(silent=True, console="off", init_timeout=60),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    @override
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log({"step": step, **figures})

    @override
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = list(rows[0])
        table = wandb.Table(columns=columns, data=[[row[c] for c in columns] for row in rows])
        self._run.log({"step": step, name: table})

    @override
    def add_folder(self, name: str, folder: Path) -> None:
        artefact = wandb.Artifact(f"{self._run.id}-{name}", type="model")
        artefact.add_dir(str(folder))
        self._run.log_artifact(artefact)

    @override
    def close(self) -> None:
        self._run.finish()


def _kept_id(path: Path) -> str:
    """The id of this run in W&B, which a resumed run finds again."""
    if not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()
