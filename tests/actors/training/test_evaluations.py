"""Evaluations during training are recorded whole, once, and change nothing that is learned."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.config import LoopConfig
from actors.evaluation.statistics import difference_interval
from actors.runs.folder import RunFolder, append_jsonl, read_jsonl
from actors.training.evaluations import gain_interval
from actors.training.trainer import Trainer
from curriculum.synthetic.problems import synthetic_problems
from deploy.bench.fleet.fake_actors import SteadyLearner, steady_trainer
from sandbox import Job, Outcome, Verdict
from tests.clock import untimed

STEPS = 5


def trained(folder: Path, **loop: Any) -> Trainer:
    made = trainer(folder, **loop)
    asyncio.run(made.run())
    return made


def trainer(folder: Path, **loop: Any) -> Trainer:
    settings: dict[str, Any] = {
        "steps": STEPS,
        "prompts_per_step": 2,
        "eval_samples": 2,
        "checkpoint_every": 2,
    }
    made = steady_trainer(folder, LoopConfig(**(settings | loop)), 2, 0.0, 0.0)
    other = synthetic_problems(seed=9, per_tier=1, name="other")
    made.suites["other"] = other  # type: ignore[index]
    return made


def evaluations(made: Trainer) -> list[tuple[int, str]]:
    return [(row["step"], row["suite"]) for row in read_jsonl(made.folder.evaluations)]


def test_every_evaluation_is_recorded_by_suite_and_problem(tmp_path: Path) -> None:
    made = trained(tmp_path / "run", eval_every=2)
    expected = [(step, suite) for step in (0, 2, 4, STEPS) for suite in ("heldout", "other")]
    assert evaluations(made) == expected
    in_metrics = [row for row in read_jsonl(made.folder.metrics) if "suite" in row]
    assert [(row["step"], row["suite"]) for row in in_metrics] == expected
    row, line = in_metrics[1], read_jsonl(made.folder.evaluations)[1]
    assert row["eval/other/pass_at_1/overall"] == pytest.approx(0.5)
    low, high = (row[f"eval/other/{end}/overall"] for end in ("low", "high"))
    assert low < 0.5 < high
    assert row["time"] <= line["time"]
    for problem in made.suites["other"]:
        of = line["problems"][problem.id]
        assert (of["tier"], of["judged"], of["passed"]) == (problem.difficulty, 2, 1)
    assert made.state.before is not None
    assert made.state.before["other"]["pass_at_1"]["overall"] == pytest.approx(0.5)


def test_evaluations_change_nothing_that_is_learned(tmp_path: Path) -> None:
    seldom, often = (trained(tmp_path / str(every), eval_every=every) for every in (0, 1))
    assert untimed(seldom.folder.step_rows()) == untimed(often.folder.step_rows())
    for made in (seldom, often):
        assert isinstance(made.learner, SteadyLearner)
    assert seldom.learner.trained == often.learner.trained  # type: ignore[attr-defined]
    assert read_jsonl(seldom.folder.curriculum) == read_jsonl(often.folder.curriculum)


def test_an_evaluation_that_was_cut_off_is_made_again_on_resuming(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", eval_every=2)
    cut = trainer(tmp_path / "cut", eval_every=2)
    collect, asked = cut.collectors.collect, []

    async def fail(*arguments: Any, **options: Any) -> Any:
        if "top_p" in options:  # only evaluations say how to sample
            asked.append(cut.state.step)
            if asked.count(2) == 2:  # the second suite, after a checkpoint
                raise OSError("the disk is full")
        return await collect(*arguments, **options)

    cut.collectors.collect = fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="full"):
        asyncio.run(cut.run())
    assert evaluations(cut)[-1] == (2, "heldout")
    resumed = trainer(tmp_path / "other", eval_every=2)
    resumed.folder = cut.folder
    resumed.log = cut.log
    resumed.__post_init__()
    checkpoint = cut.folder.latest()
    assert checkpoint is not None

    async def resume() -> None:
        await resumed.restore(checkpoint)
        await resumed.run()

    asyncio.run(resume())
    assert evaluations(resumed) == evaluations(whole)
    assert untimed(resumed.folder.step_rows()) == [
        row | {"weights/version": row["weights/version"] + (row["step"] > 2)}
        for row in untimed(whole.folder.step_rows())
    ]
    assert read_jsonl(resumed.folder.curriculum) == read_jsonl(whole.folder.curriculum)


def test_the_stages_of_all_problems_follow_from_the_recorded_changes(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", steps=12)
    run = made.pool.run

    async def passes(job: Job) -> Verdict:
        return replace(await run(job), outcome=Outcome.passed)

    made.pool.run = passes  # type: ignore[method-assign]
    asyncio.run(made.run())
    first, *steps = read_jsonl(made.folder.curriculum)
    stages = {key: stage for key, (_, _, stage) in first["problems"].items()}
    assert all(stage == count - 1 for _, count, stage in first["problems"].values())
    for row in steps:
        assert len(row["asked"]) == 2
        assert all(stages[problem] == stage for problem, stage, *_ in row["asked"])
        stages |= row["stages"]
    assert stages == made.schedule.stages()
    assert any(row["stages"] for row in steps)


def test_rows_tell_tiers_stages_and_lengths_apart(tmp_path: Path) -> None:
    made = trained(tmp_path / "run", prompts_per_step=6, steps=2)
    for row in made.folder.step_rows():
        rates = {name: rate for name, rate in row.items() if name.startswith("pass_rate/")}
        assert rates
        assert set(rates.values()) == {0.5}, json.dumps(rates)
        assert row["length/completion/mean"] == row["length/completion/p90"]
        assert row["length/prompt/mean"] <= row["length/prompt/max"]
        assert 0 < row["curriculum/revealed"] < 1


def test_the_gain_of_a_run_is_paired_by_problem_over_judged_samples(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    def record(step: int, suite: str, **passed: tuple[int, int]) -> None:
        problems = {
            name: {"passed": count, "judged": judged} for name, (count, judged) in passed.items()
        }
        append_jsonl(folder.evaluations, [{"step": step, "suite": suite, "problems": problems}])

    assert gain_interval(folder, "heldout") is None
    record(0, "heldout", a=(0, 4), b=(1, 2), c=(4, 4), gone=(0, 4))
    record(0, "other", a=(0, 4))
    assert gain_interval(folder, "heldout") is None
    record(5, "heldout", a=(4, 4), b=(2, 2), c=(0, 0))
    record(9, "heldout", a=(1, 4), b=(1, 1), c=(0, 0), new=(4, 4))
    assert gain_interval(folder, "heldout") == difference_interval([0.25, 0.5])
    assert gain_interval(folder, "other") is None
