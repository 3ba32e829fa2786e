"""A learner's checkpoint folder: engines, random states, and a manifest that is written last.

learner.json         ranks, ZeRO stage, shapes, configuration with its digest, learner's state
policy/, critic/     DeepSpeed's folders: weights and optimizer state of every rank
model/               configuration and tokenizer of the policy
random-<rank>.pt     random states of a rank's process: torch, CUDA, Python, numpy
"""

import hashlib
import json
import pickle
import random
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learner.config import FREE_SETTINGS, RATE_SETTINGS, LearnerConfig, flat_settings
from learner.errors import CheckpointError
from learner.zero.distributed import barrier
from learner.zero.engine import Engine

MANIFEST = "learner.json"
DESCRIPTION = "model"


class Writing:
    """A rank's part of a checkpoint that is still to be written. No method is collective."""

    def __init__(self, parts: Iterable[Callable[[], None]], finish: Callable[[], None]) -> None:
        """Hold what is to be written.

        Args:
            parts: each writes a file or a folder.
            finish: marks the folder as complete, where this rank does so.
        """
        self._parts = deque(parts)
        self.finish = finish

    def add(self, part: Callable[[], None]) -> None:
        """Write this too."""
        self._parts.append(part)

    def write(self) -> None:
        """Write everything but what marks the folder as complete; memory is freed as it goes.

        Raises:
            OSError: a file could not be written.
            RuntimeError: as torch tells it.
        """
        while self._parts:
            self._parts.popleft()()


def begin(
    folder: Path,
    engines: dict[str, Engine],
    config: LearnerConfig,
    state: dict[str, Any],
    copy: bool,
) -> Writing:
    """Begin a checkpoint; collective. A folder without the manifest is incomplete.

    Args:
        folder: created if missing. For an atomic write, pass a temporary name and rename the
            folder afterwards.
        engines: by name, each written to a folder of its own.
        config: the learner's.
        state: JSON-able state of the learner.
        copy: whether the engines may go on before it is written, which takes as much of the host's
            memory; else their files are written now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rank = torch.distributed.get_rank()
    parts: list[Callable[[], None]] = []
    for name, engine in engines.items():
        if copy:
            parts += engine.begin_save(folder / name)
        else:
            engine.save(folder / name)
    parts.append(partial(torch.save, _random_state(), folder / f"random-{rank}.pt"))
    settings = config.model_dump(mode="json")
    manifest = {
        **_layout(engines),
        "config": settings,
        "config_digest": config_digest(settings),
        "state": state,
        "shapes": _shapes(engines),
    }

    def finish() -> None:
        if rank == 0:
            (folder / MANIFEST).write_text(json.dumps(manifest) + "\n")

    return Writing(parts, finish)


def save(writing: Writing) -> None:
    """Write a checkpoint that was begun on all ranks; collective."""
    writing.write()
    barrier()
    writing.finish()
    barrier()


def load(folder: Path, engines: dict[str, Engine], config: LearnerConfig) -> dict[str, Any]:
    """Restore engines and random states; returns the learner's state. Collective.

    Raises:
        CheckpointError: the folder is missing, incomplete or damaged, or was written with another
            number of ranks, ZeRO stage, architecture or configuration.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        recorded = {key: manifest[key] for key in ("config", "config_digest", "state", "shapes")}
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise CheckpointError(
            f"{folder} holds no complete checkpoint: {error!r}; continue from an earlier one"
        ) from error
    _check_layout(folder, manifest, _layout(engines))
    _check_shapes(folder, recorded["shapes"], _shapes(engines))
    _check_config(folder, recorded, config.model_dump(mode="json"))
    rank = torch.distributed.get_rank()
    try:
        for name, engine in engines.items():
            engine.load(folder / name)
        _set_random_state(torch.load(folder / f"random-{rank}.pt", weights_only=True))
    except (OSError, EOFError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{folder} is damaged and was not loaded: {type(error).__name__}: {error}; "
            f"continue from an earlier one"
        ) from error
    return recorded["state"]


def config_digest(settings: dict[str, Any]) -> str:
    """The first 16 hex digits of the SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _layout(engines: dict[str, Engine]) -> dict[str, int]:
    first = next(iter(engines.values()))
    return {"world_size": first.world_size, "zero_stage": first.stage}


def _shapes(engines: dict[str, Engine]) -> dict[str, list[Any]]:
    return {
        f"{engine_name}: {name}": [str(dtype).removeprefix("torch."), *shape]
        for engine_name, engine in engines.items()
        for name, dtype, shape in engine.parameter_shapes()
    }


def _check_layout(folder: Path, recorded: dict[str, Any], own: dict[str, int]) -> None:
    for name, value in own.items():
        if recorded.get(name) != value:
            raise CheckpointError(
                f"{folder} was written with {name} {recorded.get(name)}, this learner has {value}: "
                f"each rank's file holds its own part of the optimizer's state; resume with {name} "
                f"{recorded.get(name)}, or start another run from the saved policy"
            )


def _check_shapes(folder: Path, recorded: dict[str, Any], own: dict[str, Any]) -> None:
    for name in sorted(recorded.keys() | own.keys()):
        if recorded.get(name) != own.get(name):
            theirs, ours = recorded.get(name, "missing"), own.get(name, "missing")
            raise CheckpointError(
                f"{folder} belongs to another architecture: {name} is {theirs} there, {ours} here; "
                f"resume with the model, critic_layers, advantage and lora it was written with"
            )


def _check_config(folder: Path, manifest: dict[str, Any], own: dict[str, Any]) -> None:
    recorded = manifest["config"]
    if config_digest(recorded) != manifest["config_digest"]:
        raise CheckpointError(
            f"{folder / MANIFEST}: the configuration does not match its digest: the file was "
            "changed; continue from an earlier checkpoint"
        )
    recorded, own = flat_settings(recorded), flat_settings(own)
    names = sorted((recorded.keys() | own.keys()) - FREE_SETTINGS - RATE_SETTINGS)
    changed = [
        f"{name} is {recorded.get(name)!r} there, {own.get(name)!r} here"
        for name in names
        if recorded.get(name) != own.get(name)
    ]
    if changed:
        raise CheckpointError(
            f"{folder} was written with other settings: {'; '.join(changed)}; resume with the "
            "settings it was written with"
        )


def _random_state() -> dict[str, Any]:
    numpy_name, keys, *position = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "cpu": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (numpy_name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *position),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    random.setstate(state["python"])
    numpy_name, keys, *position = state["numpy"]
    np.random.set_state((numpy_name, keys.numpy().astype(np.uint32), *position))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
