"""A learner's checkpoint folder: the engines, every rank's random state, and a manifest written
last.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from learner.distributed import barrier
from learner.engine import Engine

_MANIFEST = "learner.json"


class CheckpointError(ValueError):
    """A checkpoint that cannot be continued from, and why."""


def save(folder: Path, engines: dict[str, Engine], state: dict[str, Any]) -> None:
    """Write a checkpoint; called on every rank. The manifest comes last: without it the folder is
    incomplete.

    Args:
        folder: created if missing. To make it atomic, give a temporary name and rename the folder
            afterwards.
        engines: by name, each in a folder of its own.
        state: JSON-able state of the learner.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, engine in engines.items():
        engine.save(folder / name)
    rank = torch.distributed.get_rank()
    torch.save(_random_state(), folder / f"random-{rank}.pt")
    barrier()
    if rank == 0:
        manifest = {**_fingerprint(engines), "state": state}
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    barrier()


def load(folder: Path, engines: dict[str, Engine]) -> dict[str, Any]:
    """Restore engines and random state on every rank; returns the learner's state.

    Raises:
        CheckpointError: the folder is missing or incomplete, or was written by another number of
            ranks, ZeRO stage or architecture.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{folder} holds no complete checkpoint: {error}") from error
    for name, wanted in _fingerprint(engines).items():
        if manifest.get(name) != wanted:
            raise CheckpointError(
                f"{folder} was written with {name} {manifest.get(name)}, this learner has {wanted}"
            )
    for name, engine in engines.items():
        engine.load(folder / name)
    rank = torch.distributed.get_rank()
    _set_random_state(torch.load(folder / f"random-{rank}.pt", weights_only=True))
    return manifest["state"]


def _fingerprint(engines: dict[str, Engine]) -> dict[str, Any]:
    shapes = {name: engine.parameter_shapes() for name, engine in engines.items()}
    digest = hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]
    first = next(iter(engines.values()))
    return {"world_size": first.world_size, "zero_stage": first.stage, "architecture": digest}


def _random_state() -> dict[str, Any]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
