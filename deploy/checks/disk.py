"""Whether a run's checkpoints fit the disk of its folder, by arithmetic, before it starts."""

from __future__ import annotations

import os

from actors.runs.disk import free_bytes, size_text, tree_size
from actors.runs.folder import RunFolder
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.plan.memory import stored_bytes
from deploy.plan.shape import ModelShape


def check_disk(
    folder: RunFolder, config: RunConfig, shape: ModelShape, resume: bool, overwrite: bool
) -> None:
    """Refuse a run whose checkpoints cannot fit.

    What an earlier run or an earlier part of this run has there counts as free where this run
    replaces it.

    Raises:
        ConfigError: names both sizes, the folder, and what to change.
    """
    needed = needed_bytes(config, shape)
    place = next(path for path in (folder.root, *folder.root.parents) if os.path.isdir(path))
    free = free_bytes(place)
    replaced = folder.root if overwrite else folder.checkpoints
    if (resume or overwrite) and replaced.is_dir():
        free += tree_size(replaced)
    if needed > free:
        raise ConfigError(
            f"the run's checkpoints take about {size_text(needed)} ({_copies(config)} at a "
            f"time), and {size_text(free)} is free in {place}: free space there, set runs_dir "
            f"(staging_dir, where it is a URL) to a larger file system, lower "
            f"loop.keep_checkpoints (now {config.loop.keep_checkpoints}), or set "
            f"loop.keep_optimizer 1 with loop.checkpoint_policy true"
        )


def needed_bytes(config: RunConfig, shape: ModelShape) -> int:
    """Bytes that the run's checkpoints and its policy take at their most, without small files."""
    loop = config.loop
    # `auto` is bfloat16 on a GPU; the smaller size refuses no run that would fit.
    width = 4 if config.learner_dtype(gpu=True) == "float32" else 2
    state = stored_bytes(shape, config.resolved_learner(), width)
    policy = shape.parameters * width
    copies = _copies(config)
    whole = copies if loop.keep_optimizer is None else min(copies, loop.keep_optimizer + 1)
    kept_policies = copies * policy if loop.checkpoint_policy else 0
    return whole * state + kept_policies + policy


def _copies(config: RunConfig) -> int:
    """Checkpoints on the disk at their most: an older one goes when a newer one is whole, and with
    an object store when it is not being uploaded.
    """
    loop = config.loop
    written = 1 + sum(loop.saves_at(step) for step in range(1, loop.steps + 1))
    return min(loop.keep_checkpoints + 1 + (config.runs_url is not None), written)
