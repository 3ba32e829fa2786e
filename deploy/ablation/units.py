"""The runs of a grid: which there are, how each is configured, and what is left to do of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from actors.runs.folder import RunFolder
from deploy.ablation.arms import Arm
from deploy.ablation.collect import deciding_settings
from deploy.ablation.stored import read_stored, run_name
from deploy.config import RunConfig, load_config
from deploy.errors import ConfigError

GIVEN_BY_GRID = ("name", "seed", "runs_dir")
"""Keys that the grid sets itself."""


@dataclass(frozen=True)
class Unit:
    """One run of a grid."""

    arm: Arm
    seed: int
    rerun: int
    config: RunConfig

    @property
    def name(self) -> str:
        """Of the run, its folder and its stored result."""
        return self.config.name

    @property
    def folder(self) -> RunFolder:
        """Where the run writes."""
        return RunFolder(self.config.local_runs.absolute() / self.name)


class State(Enum):
    """What there is of a run."""

    new = "new"
    interrupted = "interrupted"
    """It has a checkpoint to go on from."""
    ended = "ended"
    """It has done all its steps, and its result is not stored yet."""
    stored = "stored"


@dataclass(frozen=True)
class Layout:
    """The files of a grid below one folder."""

    root: Path
    results: Path
    """Folder of the stored results."""

    @property
    def runs(self) -> Path:
        """Folder of the run folders, and of the warm start that they share."""
        return self.root / "runs"

    @property
    def page(self) -> Path:
        """The page of the whole grid."""
        return self.root / "ablation.html"

    def profile(self, unit: Unit) -> Path:
        """The configuration that a run is started with."""
        return self.root / "configs" / f"{unit.name}.yaml"

    def log(self, unit: Unit) -> Path:
        """What a run printed."""
        return self.root / "logs" / f"{unit.name}.log"

    def stored(self, unit: Unit) -> Path:
        """The stored result of a run."""
        return self.results / f"{unit.name}.json"


def parse_seeds(text: str) -> list[int]:
    """`5` is the seeds 1 to 5, `4-8` those from 4 to 8, `1,3` (or `7,`) a list.

    Raises:
        ConfigError: the text is none of these, or names no seed.
    """
    first, dash, last = text.partition("-")
    try:
        if "," in text:
            seeds = [int(part) for part in text.split(",") if part.strip()]
        elif dash:
            seeds = list(range(int(first), int(last) + 1))
        else:
            seeds = list(range(1, int(text) + 1))
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0:
        raise ConfigError(
            f"--seeds {text}: expected a number of seeds (5), a range (4-8) or a list (1,3; 7,)"
        )
    return list(dict.fromkeys(seeds))


def grid_units(
    arms: Sequence[Arm],
    seeds: Sequence[int],
    reruns: int,
    profile: Path | None,
    overrides: Sequence[str],
    layout: Layout,
) -> list[Unit]:
    """The runs of a grid: every arm of a seed, then the next seed, then the reruns.

    So that a grid that is cut short has whole seeds.

    Args:
        arms: what is compared.
        seeds: of each arm.
        reruns: repetitions of every run with the same seed.
        profile: what all runs share; None for the defaults.
        overrides: what they share beside it, as `load_config` takes them.
        layout: where they write.

    Raises:
        ConfigError: the configuration of an arm is not valid, or an override sets what the grid
            or an arm sets itself.
    """
    _refuse_taken(arms, overrides)
    units: list[Unit] = []
    for rerun in range(reruns + 1):
        for seed in seeds:
            for arm in arms:
                name = run_name(arm.name, seed, rerun)
                given = [f"--seed={seed}", f"--name={name}", f"--runs_dir={layout.runs}"]
                arguments = [*overrides, *arm.arguments(), *given]
                try:
                    config = load_config(profile, arguments)
                except ConfigError as error:
                    raise ConfigError(f"arm {arm.name}: {error}") from None
                units.append(Unit(arm, seed, rerun, config))
    return units


def _refuse_taken(arms: Sequence[Arm], overrides: Sequence[str]) -> None:
    switched = {key for arm in arms for key in arm.overrides}
    for override in overrides:
        key = override.removeprefix("--").partition("=")[0]
        if key in GIVEN_BY_GRID:
            raise ConfigError(f"--{key}: the grid sets it itself (--seeds and --out)")
        if key in switched:
            raise ConfigError(f"--{key}: the arms differ by it; `stepcoder ablate arms` says how")


def state_of(unit: Unit, layout: Layout) -> State:
    """What there is of a run.

    Raises:
        ConfigError: its result or its folder is of another configuration; names the keys.
    """
    wanted = deciding_settings(unit.config)
    stored = layout.stored(unit)
    if stored.exists():
        _refuse_other(stored, read_stored(stored).settings, wanted)
        return State.stored
    folder = unit.folder
    if folder.latest() is None:
        return State.new
    _refuse_other(folder.root, deciding_settings(load_config(folder.config)), wanted)
    return State.ended if folder.result.exists() else State.interrupted


def _refuse_other(place: Path, there: dict[str, object], wanted: dict[str, object]) -> None:
    """Refuse what is of another configuration."""
    keys = sorted(there.keys() | wanted.keys())
    if changed := [key for key in keys if there.get(key) != wanted.get(key)]:
        raise ConfigError(
            f"{place} is of another configuration; it differs at {', '.join(changed)}: choose "
            "another --out, or begin again with --overwrite"
        )
