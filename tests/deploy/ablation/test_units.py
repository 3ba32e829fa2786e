"""The runs of a grid: their configurations, and what is left to do of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.ablation.arms import pick_arms
from deploy.ablation.stored import write_stored
from deploy.ablation.units import Layout, State, Unit, grid_units, parse_seeds, state_of
from deploy.errors import ConfigError
from tests.deploy.ablation.made_results import made_run


def units(root: Path, arms: str = "full,ppo", seeds: str = "2", reruns: int = 0,
          overrides: tuple[str, ...] = ("--loop.steps=6",)) -> list[Unit]:  # fmt: skip
    layout = Layout(root, root / "results")
    return grid_units(pick_arms(arms), parse_seeds(seeds), reruns, None, overrides, layout)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [1, 2, 3]), ("4-6", [4, 5, 6]), ("5,2", [5, 2]), ("7,", [7]), ("1,1", [1])],
)
def test_seeds_are_a_number_a_range_or_a_list(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "x", "-3", "5-2", ",", "1,x", "2.5"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number of seeds"):
        parse_seeds(text)


def test_whole_seeds_come_first_and_reruns_last(tmp_path: Path) -> None:
    assert [unit.name for unit in units(tmp_path, reruns=1)] == [
        "full-1", "ppo-1", "full-2", "ppo-2",
        "full-1-rerun1", "ppo-1-rerun1", "full-2-rerun1", "ppo-2-rerun1",
    ]  # fmt: skip


def test_a_run_has_the_profile_its_arm_and_its_seed(tmp_path: Path) -> None:
    unit = units(tmp_path, seeds="3,")[1]
    config = unit.config
    assert (config.seed, config.loop.steps, config.runs_dir) == (3, 6, tmp_path / "runs")
    assert (config.curriculum.mode, config.learner.mask) == ("none", "none")
    assert unit.folder.root == tmp_path / "runs" / "ppo-3"


@pytest.mark.parametrize("override", ["--seed=4", "--name=x", "--runs_dir=x"])
def test_what_the_grid_sets_itself_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="the grid sets it itself"):
        units(tmp_path, overrides=(override,))


def test_what_the_arms_differ_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--learner\.mask: the arms differ by it"):
        units(tmp_path, overrides=("--learner.mask=none",))


def test_an_arm_whose_configuration_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)arm full: .*loop\.steps"):
        units(tmp_path, overrides=("--loop.steps=-1",))


def checkpointed(unit: Unit) -> None:
    """What a run leaves that was stopped after its first checkpoint."""
    unit.folder.clear()
    unit.folder.config.write_text(unit.config.to_yaml())
    with unit.folder.checkpoint(0, 1) as partial:
        (partial / "weights").write_text("w")


def test_what_there_is_of_a_run_decides_how_it_goes_on(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "results")
    new, stopped, ended, stored = units(tmp_path, seeds="2")
    checkpointed(stopped)
    checkpointed(ended)
    ended.folder.result.write_text(json.dumps({"steps": 6}))
    run = made_run("ppo", 2)
    write_stored(run, layout.results)
    states = [state_of(unit, layout) for unit in (new, stopped, ended, stored)]
    assert states == [State.new, State.interrupted, State.ended, State.stored]
    write_stored(run.model_copy(update={"settings": {"loop.steps": 9}}), layout.results)
    with pytest.raises(ConfigError, match=r"ppo-2\.json is of another configuration.*--overwrite"):
        state_of(stored, layout)


def test_a_folder_of_another_configuration_is_refused_with_its_keys(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "results")
    checkpointed(units(tmp_path)[0])
    longer = units(tmp_path, overrides=("--loop.steps=9", "--pool.workers=2"))[0]
    with pytest.raises(ConfigError, match=r"differs at loop\.steps: choose another --out"):
        state_of(longer, layout)
