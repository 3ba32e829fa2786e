"""Grids: what may be compared, what is flagged, and which claims hold."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from deploy.ablation.arms import CORE
from deploy.ablation.claims import Judged, judge_claims
from deploy.ablation.grid import Grid
from deploy.ablation.stored import StoredRun, write_stored
from deploy.errors import ConfigError
from deploy.report.ablation.grids import read_grids
from tests.deploy.ablation.made_results import RATES, exact_run, made_run

COMPETITION = {"full": 0.35, "no-fgo": 0.33, "no-cccs": 0.12, "ppo": 0.1, "adaptive": 0.5}


def made_grid(seeds: int = 5, problems: int = 60) -> Grid:
    """The five core arms; the curriculum helps on the competition tier, and nothing else does."""
    return Grid.of(
        [
            made_run(arm, seed, RATES | {"competition": COMPETITION[arm]}, problems)
            for arm in CORE
            for seed in range(1, seeds + 1)
        ]
    )


def verdicts(grid: Grid) -> dict[str, Judged]:
    return {judged.claim.text: judged for judged in judge_claims(grid)}


def test_claims_that_are_so_hold_and_others_do_not() -> None:
    judged = verdicts(made_grid())
    helps = judged["CCCS helps on the hardest tier (with FGO)"]
    assert helps.verdict == "holds"
    assert "full less no-cccs, competition: +0.2" in helps.words
    assert "5 of 5 pairs in favour" in helps.words
    assert judged["FGO helps overall (with CCCS)"].verdict == "not shown"
    assert judged["The adaptive schedule beats CCCS on the hardest tier by 0.05"].verdict == "holds"
    assert judged["FGO beats a random mask of the same sparsity"].verdict == "not tested"
    assert "no runs of random-mask" in judged["FGO beats a random mask of the same sparsity"].words


def test_a_claim_that_is_the_wrong_way_round_is_contradicted() -> None:
    grid = Grid.of(
        [made_run("full", seed, RATES | {"competition": 0.1}, 60) for seed in range(5)]
        + [made_run("no-cccs", seed, RATES | {"competition": 0.5}, 60) for seed in range(5)]
    )
    assert verdicts(grid)["CCCS helps on the hardest tier (with FGO)"].verdict == "contradicted"


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_are_said_instead_of_an_interval(seeds: int) -> None:
    judged = verdicts(made_grid(seeds))["CCCS helps on the hardest tier (with FGO)"]
    assert judged.verdict == "too few seeds"
    assert "an interval needs 3" in judged.words
    assert "[" not in judged.words


def test_a_difference_is_paired_by_seed_and_clustered_by_problem() -> None:
    grid = Grid.of(
        [exact_run("full", 1, [4, 2, 0]), exact_run("full", 2, [2, 2, 2]),
         exact_run("ppo", 1, [0, 2, 0]), exact_run("ppo", 2, [2, 0, 2]),
         exact_run("ppo", 3, [4, 4, 4])]
    )  # fmt: skip
    assert grid.tiers == ["overall"]
    assert grid.hardest == "overall"
    difference = grid.difference("full", "ppo", "overall")
    assert difference is not None
    assert dict(difference.values) == pytest.approx({1: 4 / 12, 2: 2 / 12})
    by_problem = grid.difference_by_problem("full", "ppo", "overall")
    assert by_problem is not None
    assert by_problem.estimate == pytest.approx((2 / 4 + 1 / 4 + 0) / 3)
    assert by_problem.problems == 3


def test_reruns_of_a_seed_are_one_value_and_have_a_spread() -> None:
    runs = [exact_run("full", 1, [4, 2]), exact_run("full", 1, [2, 2], rerun=1),
            exact_run("full", 2, [0, 0])]  # fmt: skip
    grid = Grid.of(runs)
    assert grid.final("full", "overall") == pytest.approx({1: 5 / 8, 2: 0})
    assert grid.rerun_spread("overall") == (pytest.approx(stdev([6 / 8, 4 / 8])), 1)
    assert Grid.of(runs[::2]).rerun_spread("overall") is None


def test_the_spread_between_seeds_is_found_again() -> None:
    draw = random.Random(2)
    runs: list[StoredRun] = []
    for arm in ("full", "ppo", "no-fgo"):
        for seed in range(60):
            rate = 0.5 + draw.gauss(0, 0.05)
            counts = [sum(draw.random() < rate for _ in range(4)) for _ in range(100)]
            runs.append(exact_run(arm, seed, counts))
    spread = Grid.of(runs).spread("overall")
    assert spread is not None
    assert spread.training == pytest.approx(0.05, rel=0.15)
    assert spread.sample == pytest.approx(0.25, rel=0.03)
    assert Grid.of(runs[:1]).spread("overall") is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"settings": {"loop.steps": 6, "rollout.temperature": 0.5}}, "rollout.temperature"),
        ({"heldout_digest": "ffff"}, "the held-out problems"),
        ({"eval_samples": 8}, "the samples of an evaluation"),
        ({"grid": "other"}, "the grid's name"),
    ],
)
def test_runs_that_differ_beside_their_switches_are_refused(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"full-1 and ppo-1 cannot be compared.*{named}"):
        Grid.of([made_run("full"), made_run("ppo", **changes)])


def test_other_samples_or_optimizer_steps_are_flagged() -> None:
    runs = [made_run(arm) for arm in ("full", "no-fgo", "ppo")]
    assert Grid.of(runs).notes() == []
    fewer = {"asked": 96, "trained": 90, "dropped": 6}
    runs[1] = made_run("no-fgo", samples=fewer, optimizer_steps=23, commit="beef-dirty")
    notes = Grid.of(runs).notes()
    assert notes[0] == "Not the same samples trained on: no-fgo-1 90; the others 96."
    assert notes[1] == "Not the same optimizer steps: no-fgo-1 23; the others 24."
    assert "2 commits" in notes[2]
    assert "no-fgo-1" in notes[3]


def test_missing_seeds_are_noted() -> None:
    [note] = Grid.of([made_run("full", 1), made_run("full", 2), made_run("ppo", 1)]).notes()
    assert note == "Not every arm has every seed: ppo lacks 2."


def test_grids_are_read_from_their_folders_and_joined_by_name(tmp_path: Path) -> None:
    write_stored(made_run("full", 1), tmp_path / "a")
    write_stored(made_run("full", 1), tmp_path / "b")
    write_stored(made_run("full", 1, grid="other"), tmp_path / "c")
    grids = {grid.name: grid for grid in read_grids([tmp_path])}
    assert {name: len(grid.runs) for name, grid in grids.items()} == {"made": 2, "other": 1}
    assert grids["made"].rerun_spread("overall") == (0.0, 1)
    (tmp_path / "empty").mkdir()
    assert read_grids([tmp_path / "empty"]) == []


def test_the_mean_of_an_arm_is_over_its_seeds() -> None:
    grid = made_grid(3)
    mean = grid.mean("full", lambda run: run.final("overall"))
    assert mean is not None
    assert mean.mean == pytest.approx(fmean(grid.final("full", "overall").values()))
    assert grid.mean("full", lambda run: None) is None
