"""Reading the stored results of one or several grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy.ablation.grid import Grid
from deploy.ablation.stored import StoredRun, read_folders


def read_grids(folders: Sequence[Path]) -> list[Grid]:
    """The grids whose results are stored in some folders, or in folders directly below them.

    Results of the same grid belong together, wherever they are.

    Raises:
        ConfigError: a folder does not exist, a file is not a result, or runs of one grid cannot be
            compared.
    """
    below = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    by_grid: dict[str, list[StoredRun]] = {}
    for run in read_folders([*folders, *(path for path in below if path.is_dir())]):
        by_grid.setdefault(run.grid, []).append(run)
    return [Grid.of(runs) for runs in by_grid.values()]
