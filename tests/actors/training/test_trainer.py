"""The training loop on stand-ins that take no time: order of rounds, and loss of the learner."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.errors import ActorLost, RunFailed
from actors.rollout.samples import Sample
from curriculum.config import CurriculumConfig
from curriculum.schedule.make import SCHEDULES, make_schedule
from curriculum.subtask import Subtask
from learner.config import RewardConfig
from sandbox import Job, Outcome, Verdict
from tests.actors.training.made_trainer import PROMPTS, SAMPLES, STEPS, learner, rows, trainer


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_no_sample_is_older_than_allowed_and_each_is_trained_once(
    tmp_path: Path, staleness: int
) -> None:
    made = trainer(tmp_path / "run", max_staleness=staleness, checkpoint_every=4)
    asyncio.run(made.run())
    lines = rows(made)
    assert [row["step"] for row in lines] == list(range(1, STEPS + 1))
    assert max(row["staleness/max"] for row in lines) <= staleness
    # The first round after a pause is written with the newest weights.
    assert [row["staleness/max"] for row in lines][0::4] == [0.0, 0.0, 0.0]
    if staleness:
        assert max(row["staleness/max"] for row in lines) >= 1
    trained = [sample for update in learner(made).trained for sample in update]
    assert sorted(trained) == list(range(STEPS * PROMPTS * SAMPLES))
    assert made.ledger.totals["trained"] == STEPS * PROMPTS * SAMPLES
    made.ledger.check_empty()


def test_a_group_without_a_judged_sample_is_reported_to_the_schedule_and_not_trained(
    tmp_path: Path,
) -> None:
    made = trainer(tmp_path / "run", steps=2)
    observed: list[tuple[int, int]] = []
    observe, run = made.schedule.observe, made.pool.run

    def watch(
        task: Subtask, passed: int, attempts: int, weight_version: int, programs: list[str]
    ) -> None:
        observed.append((passed, attempts))
        observe(task, passed, attempts, weight_version, programs)

    async def fail(job: Job) -> Verdict:
        verdict = await run(job)
        # The whole first group of the first step, and one sample of its second group.
        return (
            replace(verdict, outcome=Outcome.infra_error) if job.id in ("0", "1", "2") else verdict
        )

    made.schedule.observe, made.pool.run = watch, fail  # type: ignore[method-assign]
    asyncio.run(made.run())
    assert observed == [(0, 0), (1, 1), (1, 2), (1, 2)]
    assert learner(made).trained == [[3], [4, 5, 6, 7]]
    assert made.ledger.totals["dropped/infra_error"] == 3
    assert rows(made)[0]["ledger/dropped"] == 3


def test_samples_that_the_reward_function_fails_on_are_dropped_and_counted(tmp_path: Path) -> None:
    def function(_problem: Any, sample: Sample, _verdict: Verdict) -> float:
        return 1 / sample.sample_id

    made = trainer(tmp_path / "run", steps=2)
    made.scorer.config = RewardConfig(function="mine:reward", function_errors="drop")
    made.scorer.function = function
    asyncio.run(made.run())
    assert learner(made).trained == [[1, 2, 3], [4, 5, 6, 7]]
    assert made.ledger.totals["dropped/reward_error"] == 1
    first = rows(made)[0]
    assert first["reward/function"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert first["reward"] == pytest.approx(first["reward/function"] + first["reward/outcome"])


def test_a_step_of_a_run_without_a_reference_is_told_without_its_kl(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer(tmp_path / "run", steps=1)
    update = made.learner.update

    async def without_kl(*arguments: Any, **options: Any) -> Any:
        metrics, values = await update(*arguments, **options)
        return {name: value for name, value in metrics.items() if name != "kl"}, values

    made.learner.update = without_kl  # type: ignore[method-assign]
    with caplog.at_level("INFO"):
        asyncio.run(made.run())
    [line] = [text for text in caplog.messages if text.startswith("step 1/1")]
    assert "masked 50.0%  rollout" in line


def test_a_step_says_how_busy_the_driver_is(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", steps=2)
    asyncio.run(made.run())
    for row in rows(made):
        assert 0 < row["processor/driver"] < 64


def test_a_step_says_how_busy_the_busiest_collector_is(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", steps=2)
    shares = iter([None, 0.4])
    made.collectors.busiest = lambda: next(shares)  # type: ignore[method-assign]
    asyncio.run(made.run())
    assert [row.get("processor/collector") for row in rows(made)] == [None, 0.4]


def test_each_checkpoint_holds_its_policy_by_choice(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", steps=2, checkpoint_every=1, checkpoint_policy=True)
    written: list[Path] = []
    begin = made.learner.begin_checkpoint

    async def begin_checkpoint(folder: Path, policy: Path | None, background: bool) -> None:
        assert policy is not None
        written.append(policy)
        await begin(folder, policy, background)

    async def save_pretrained(folder: Path) -> None:
        written.append(folder)

    made.learner.begin_checkpoint = begin_checkpoint  # type: ignore[method-assign]
    made.learner.save_pretrained = save_pretrained  # type: ignore[method-assign]
    asyncio.run(made.run())
    places = [str(path.relative_to(made.folder.root)) for path in written]
    partial = [f"checkpoints/step-{step:06d}.partial/policy" for step in range(3)]
    assert places == [*partial, "policy"]


def test_rounds_run_ahead_only_up_to_the_next_checkpoint(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", max_staleness=8, checkpoint_every=3)
    asked: list[tuple[int, int]] = []
    shares: list[float] = []
    sample = made.schedule.sample

    def watch(n: int, run_share: float) -> Any:
        asked.append((made.state.step, len(asked)))
        shares.append(run_share)
        return sample(n, run_share)

    made.schedule.sample = watch  # type: ignore[method-assign]
    asyncio.run(made.run())
    assert asked == [(3 * (r // 3), r) for r in range(STEPS)]
    assert shares == [r / STEPS for r in range(STEPS)]


@pytest.mark.parametrize(("every", "verified"), [(0, [0, STEPS]), (4, [0, 4, 8, STEPS])])
def test_weights_are_verified_at_the_start_at_the_end_and_as_often_as_configured(
    tmp_path: Path, every: int, verified: list[int]
) -> None:
    made = trainer(tmp_path / "run", verify_every=every)
    steps: list[int] = []

    async def verify(version: int) -> float:
        steps.append(made.state.step)
        assert version == made.state.weight_version == made.fleet.version
        return 0.0

    made.parity.verify = verify  # type: ignore[method-assign]
    asyncio.run(made.run())
    assert steps == verified


@pytest.mark.parametrize("staleness", [0, 2])
def test_a_lost_learner_returns_to_the_last_checkpoint_and_no_sample_is_unaccounted_for(
    tmp_path: Path, staleness: int
) -> None:
    undisturbed = trainer(tmp_path / "undisturbed", max_staleness=staleness, checkpoint_every=2)
    asyncio.run(undisturbed.run())
    interrupted = trainer(tmp_path / "interrupted", max_staleness=staleness, checkpoint_every=2)
    learner(interrupted).lose_at = [1, 5]
    interrupted.state.restarts = {"rollout": 3}  # of a process before
    asyncio.run(interrupted.run())
    assert interrupted.restarts() == {"rollout": 3, "collector": 0, "learner": 2, "sandbox": 0}
    latest = interrupted.folder.latest()
    assert latest is not None
    saved = json.loads((latest / "trainer.json").read_text())["state"]
    assert saved["restarts"] == interrupted.restarts()
    assert learner(interrupted).restarts == interrupted.learner_restarts == 2
    assert [row["step"] for row in rows(interrupted)] == list(range(1, STEPS + 1))
    assert interrupted.ledger.totals == undisturbed.ledger.totals
    curves = [[row["pass_rate"] for row in rows(each)] for each in (undisturbed, interrupted)]
    assert curves[0] == curves[1]
    stages = [
        [row["curriculum/mean_stages_left"] for row in rows(each)]
        for each in (undisturbed, interrupted)
    ]
    assert stages[0] == stages[1]


@pytest.mark.parametrize("mode", [mode for mode in SCHEDULES if mode != "none"])
def test_a_return_to_a_checkpoint_repeats_the_curriculum_in_every_mode_with_its_options(
    tmp_path: Path, mode: str
) -> None:
    options = {"fade_by": 0.9, "prefixes_from": "policy", "longest_rest": 2}
    config = CurriculumConfig.model_validate({"mode": mode, **options})

    def run(name: str, *lose_at: int) -> list[dict[str, Any]]:
        made = trainer(tmp_path / name, steps=6, checkpoint_every=2)
        problems = [problem for problem, _ in made.schedule.stage_counts()]
        made = replace(made, schedule=make_schedule(problems, config, seed=0))
        learner(made).lose_at = list(lose_at)
        asyncio.run(made.run())
        assert len(rows(made)) == 6
        return rows(made)

    def curriculum(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = ("curriculum/", "pass_rate")
        return [{k: v for k, v in row.items() if k.startswith(kept)} for row in lines]

    assert curriculum(run("interrupted", 3, 5)) == curriculum(run("undisturbed"))


def test_a_learner_that_is_always_lost_at_the_same_step_ends_the_run(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=2, learner_restarts=2)
    learner(made).lose_at = [3] * 9
    with pytest.raises(RunFailed, match=r"lost 3 times since .*step-000002 .*learner_restarts"):
        asyncio.run(made.run())


@pytest.mark.parametrize("part", ["begin_checkpoint", "checkpoint_written"])
def test_a_learner_lost_in_its_first_checkpoint_writes_it_after_its_restart(
    tmp_path: Path, part: str
) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=4)
    interrupted = learner(made)
    method = getattr(interrupted, part)

    async def lost(*_: Any) -> None:
        setattr(interrupted, part, method)
        raise ActorLost(f"learner: {part}: the actor died")

    setattr(interrupted, part, lost)
    interrupted.lose_at = [2]
    asyncio.run(made.run())
    assert interrupted.restarts == 2
    assert interrupted.updates == STEPS
    assert made.ledger.totals["trained"] == STEPS * PROMPTS * SAMPLES


def test_a_lost_learner_without_a_whole_checkpoint_ends_the_run(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=2)
    interrupted = learner(made)
    update = interrupted.update

    async def spoil(groups: Any, **options: Any) -> Any:
        if interrupted.updates == 3:
            for state in made.folder.checkpoints.glob("*/trainer.json"):
                state.write_text("{}")
        return await update(groups, **options)

    interrupted.update = spoil  # type: ignore[method-assign]
    interrupted.lose_at = [3]
    with pytest.raises(RunFailed, match=r"lost after step 3, and no checkpoint in .* is whole"):
        asyncio.run(made.run())


def test_a_round_that_fails_ends_the_run_and_leaves_no_task(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", max_staleness=2, step_timeout_s=0.001)

    async def run() -> int:
        with pytest.raises(TimeoutError, match=r"samples asked"):
            await made.run()
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("bound", [1, 4])
def test_groups_without_signal_are_asked_again_up_to_the_bound(tmp_path: Path, bound: int) -> None:
    """The first two rounds of a step have no signal; each sample ends once, with its cause."""
    made = trainer(tmp_path / "run", steps=1, resample_rounds=bound, prompts_per_step=2)
    run, observed, observe = made.pool.run, [], made.schedule.observe

    async def judge(job: Job) -> Verdict:
        number = int(job.id)
        passed = number % 2 == 1 if number >= 8 else number < 4
        outcome = Outcome.passed if passed else Outcome.failed
        return replace(await run(job), outcome=outcome)

    def watch(
        task: Subtask, passed: int, attempts: int, weight_version: int, programs: list[str]
    ) -> None:
        observed.append(passed)
        observe(task, passed, attempts, weight_version, programs)

    made.pool.run, made.schedule.observe = judge, watch  # type: ignore[method-assign]
    asyncio.run(made.run())
    ledger = {key: rows(made)[0].get(f"ledger/{key}", 0) for key in ("asked", "trained", "dropped")}
    if bound == 1:
        # Nothing has signal, so the step learns from all of it.
        assert observed == [2, 2, 0, 0]
        assert ledger == {"asked": 8, "trained": 8, "dropped": 0}
    else:
        assert observed == [2, 2, 0, 0, 1, 1], "the schedule hears of every group"
        assert learner(made).trained == [[8, 9, 10, 11]]
        assert ledger == {"asked": 12, "trained": 4, "dropped": 8}
        assert made.ledger.totals["dropped/no_signal"] == 8
    made.ledger.check_empty()
