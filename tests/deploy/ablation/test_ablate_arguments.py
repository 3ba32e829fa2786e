"""What `stepcoder ablate` says before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.ablation.arms import ARMS
from deploy.ablation.collect import deciding_settings
from deploy.ablation.stored import write_stored
from deploy.cli import main
from deploy.config import load_config
from deploy.config.load import PROFILES
from tests.deploy.ablation.made_results import made_run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arms", "ful"], "no arm is called 'ful': did you mean full?"),
        (["--seeds", "x"], "--seeds x: expected a number of seeds"),
        (["--seed", "3"], "--seed: the grid sets it itself"),
        (["--learner.mask", "none"], "--learner.mask: the arms differ by it"),
        (["--lerner.mask", "none"], "did you mean learner.mask"),
        (["--loop.steps", "many"], "loop.steps: must be"),
        (["--profile", "absent.yaml"], "absent.yaml: no such file"),
        (["--jobs", "0"], "--jobs at least 1"),
        (["--reruns", "-1"], "--reruns must be at least 0"),
        (["--jobs", "2"], "RAY_ADDRESS is set"),
    ],
)
def test_wrong_arguments_end_in_one_message_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "ray://nowhere:1")
    assert main(["ablate", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_stored_grid_of_the_shipped_profile_is_reported_and_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arm in ("full", "ppo"):
        config = load_config(PROFILES / "ablation.yaml", [*ARMS[arm].arguments(), "--loop.steps=6"])
        run = made_run(arm, settings=deciding_settings(config))
        write_stored(run, tmp_path / "results")
    arguments = ["--arms", "full,ppo", "--seeds", "1", "--loop.steps", "6", "--out", str(tmp_path)]
    assert main(["ablate", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "CCCS and FGO together beat plain PPO overall" in printed
    assert str(tmp_path / "ablation.html") in printed
    assert (tmp_path / "ablation.html").exists()
    assert not (tmp_path / "runs").exists()


def test_the_arms_are_listed_with_what_they_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "arms"]) == 0
    printed = capsys.readouterr().out
    assert all(f"│ {name} " in printed for name in ARMS)
    assert "learner.advantage=rloo" in printed
