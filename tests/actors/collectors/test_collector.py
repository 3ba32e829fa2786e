"""The collector: groups come back whole and judged, or the error says how far the round came.

Fleet and pool are stand-ins; the collector between them is real.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from actors.collectors.collector import Collector, Reading
from actors.collectors.group import CollectorGroup
from actors.collectors.messages import Delivery, EnginesView, GroupOrder, Order, Sampling
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.ledger import Ledger
from actors.rollout.round import JudgedSample, missing_libraries, outcome_mix, rollout_figures
from actors.rollout.samples import Completion, Request, trajectory
from actors.rollout.supervisor import Supervisor
from actors.sandboxes.pool import Loss
from actors.training.console import missing_line
from actors.training.evaluate import evaluate
from curriculum import FULL_TASK, CurriculumConfig, cut, synthetic_problems
from deploy.bench.fleet.fake_actors import local_collectors
from learner.config import RewardConfig
from learner.reward import Reward, outcome_reward
from learner.tokenizer import train_tokenizer
from sandbox import Job, Limits, Outcome, Statement, TestOutcome, TestResult, Verdict
from tests.actors.trajectories import trajectories_of

PROBLEMS = synthetic_problems(seed=4, per_tier=1)
KINDS = CurriculumConfig().cut_kinds


class Fleet:
    """Writes the canonical remainder of each prompt; completions end in reverse order."""

    def __init__(self, tokenizer: Any, delay_s: float = 0.0) -> None:
        self.tokenizer = tokenizer
        self.delay_s = delay_s
        self.remainders: dict[tuple[int, ...], str] = {}
        self.asked: list[Request] = []
        engine = EngineHandle("rollout-0", None, loaded=True)
        self.engines = (engine,)
        self.supervisor = Supervisor([engine], RolloutConfig(), colocated=False)

    async def generate(
        self, groups: Sequence[Sequence[Request]], _attempts: Counter[int] | None = None
    ) -> AsyncIterator[Completion]:
        self.asked = [request for group in groups for request in group]
        for request in reversed(self.asked):
            await asyncio.sleep(self.delay_s)
            text = self.remainders.get(request.prompt_ids, "\n    return 0")
            ids = (*self.tokenizer.encode(text), self.tokenizer.eos_token_id)
            yield Completion(request.sample_id, ids, (-0.5,) * len(ids), "stop", 7)


class Pool:
    """Passes a program that equals a canonical solution; records the jobs.

    `outcome` replaces the outcome of every job, `faults` that of the jobs with these ids.
    """

    def __init__(
        self, outcome: Outcome | None = None, delay_s: float = 0.0, faults: Collection[str] = ()
    ) -> None:
        self.outcome = outcome
        self.faults = faults
        self.delay_s = delay_s
        self.jobs: list[Job] = []
        self.lost: set[Loss] = set()

    async def run(self, job: Job) -> Verdict:
        self.jobs.append(job)
        await asyncio.sleep(self.delay_s)
        solutions = {problem.solution for problem in PROBLEMS}
        passed = Outcome.passed if job.source in solutions else Outcome.failed
        if job.id in self.faults:
            passed = Outcome.infra_error
        size = len(job.source.encode())
        half = Statement(0, size // 2, True), Statement(size // 2, size, False)
        return Verdict(job.id, self.outcome or passed, tests=(), statements=half)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer((f"{p.question}\n{p.solution}" for p in PROBLEMS), 400)


def collector(tokenizer: Any, fleet: Fleet, pool: Pool, **rollout: Any) -> CollectorGroup:
    config = RolloutConfig(**{"max_model_len": 2048, "max_new_tokens": 900, **rollout})
    made = local_collectors(fleet, pool, tokenizer, config, Reading(Limits()), seed=3)
    for problem in PROBLEMS:
        for stage in (FULL_TASK, 0):
            subtask = cut(problem, stage, KINDS)
            prompt = tuple(tokenizer.encode(f"{problem.question}\n{subtask.prefix}"))
            fleet.remainders[prompt] = subtask.remainder
    return made


def test_every_group_comes_back_whole_in_order_with_its_programs(tokenizer: Any) -> None:
    fleet, pool = Fleet(tokenizer), Pool()
    subtasks = [cut(PROBLEMS[0], FULL_TASK, KINDS), cut(PROBLEMS[1], 0, KINDS)]
    made = collector(tokenizer, fleet, pool)
    finished = asyncio.run(made.collect(subtasks, 3, 40, deadline_s=20, details=range(2)))
    assert [group.subtask for group in finished.groups] == subtasks
    ids = [[sample.sample_id for sample in group.samples] for group in finished.groups]
    assert ids == [[40, 41, 42], [43, 44, 45]]
    for group in finished.groups:
        assert group.detail is not None
        assert [sample.sample_id for sample in group.detail.samples] == [
            trajectory.sample_id for trajectory in trajectories_of(group)
        ]
        for sample in group.detail.samples:
            assert sample.program.source == group.subtask.problem.solution
            assert sample.verdict.outcome is Outcome.passed
            written = len(sample.program.source.encode()) - sample.program.completion_start
            assert sum(sample.token_lengths) == written
    assert len({request.seed for request in fleet.asked}) == 6
    assert outcome_mix(finished.samples)["passed"] == 1.0


def test_programs_come_where_they_are_asked_for_and_fit_into_a_prompt(tokenizer: Any) -> None:
    subtasks = [cut(PROBLEMS[0], FULL_TASK, KINDS)]
    for room, expected in ((1, (PROBLEMS[0].solution,) * 2), (50, ())):
        made = collector(tokenizer, Fleet(tokenizer), Pool(), max_model_len=64, min_new_tokens=room)
        [group] = asyncio.run(made.collect(subtasks, 2, 0, 20, programs=True)).groups
        assert group.programs == expected
        [group] = asyncio.run(made.collect(subtasks, 2, 0, 20)).groups
        assert group.programs == ()


def test_two_groups_of_one_prompt_stay_apart(tokenizer: Any) -> None:
    made = collector(tokenizer, Fleet(tokenizer), Pool())
    subtasks = [cut(PROBLEMS[0], FULL_TASK, KINDS)] * 2
    groups = asyncio.run(made.collect(subtasks, 2, 0, deadline_s=20, details=[0, 1])).groups
    first, second = (group.detail for group in groups)
    assert first is not None
    assert second is not None
    assert first.prompt == second.prompt
    assert [[s.sample_id for s in group.samples] for group in groups] == [[0, 1], [2, 3]]


def test_infrastructure_faults_leave_a_group_without_its_other_samples_changing(
    tokenizer: Any,
) -> None:
    made = collector(tokenizer, Fleet(tokenizer), Pool(faults=("1", "2", "3")))
    subtasks = [cut(problem, FULL_TASK, KINDS) for problem in PROBLEMS[:2]]
    finished = asyncio.run(made.collect(subtasks, 2, first_id=0, deadline_s=20))
    first, second = finished.groups
    assert [s.sample_id for s in first.judged] == [s.sample_id for s in finished.judged] == [0]
    assert [s.sample_id for s in finished.faults] == [1, 2, 3]
    assert (first.passed, second.passed) == (1, 0)
    assert [t.sample_id for t in trajectories_of(first)] == [0]
    assert [s.sample_id for s in first.rewarded] == [0]
    assert second.judged == ()
    assert second.weight_version == 7
    assert second.trajectories is None


def test_the_mask_of_a_trajectory_follows_the_verdict(tokenizer: Any) -> None:
    made = collector(tokenizer, Fleet(tokenizer), Pool())
    subtasks = [cut(PROBLEMS[2], FULL_TASK, KINDS)]
    group = asyncio.run(made.collect(subtasks, 1, 0, deadline_s=20, details=[0])).groups[0]
    assert group.detail is not None
    sample = group.detail.samples[0]
    made_of = trajectory(group.detail, sample, Reward(1.0, {"outcome": 1.0}))
    if sample.verdict.outcome is Outcome.passed:
        assert trajectories_of(group) == (made_of,)
    assert made_of.reward == 1.0
    assert made_of.weight_version == 7
    assert len(made_of.executed_mask) == len(sample.completion.token_ids)
    assert made_of.executed_mask[0] is True
    assert made_of.executed_mask[-1] is True, "the end of sequence is always kept"
    assert not all(made_of.executed_mask), "the second half never ran"


def test_text_before_the_program_is_learned_and_text_behind_it_is_not(tokenizer: Any) -> None:
    fleet, pool = Fleet(tokenizer), Pool()
    made = collector(tokenizer, fleet, pool)
    problem = PROBLEMS[2]
    before, after = "Sure:\n```python\n", "\n```\nThis solves it."
    prompt = tuple(tokenizer.encode(f"{problem.question}\n"))
    fleet.remainders[prompt] = f"{before}{problem.solution}{after}"
    subtasks = [cut(problem, FULL_TASK, KINDS)]
    group = asyncio.run(made.collect(subtasks, 1, 0, deadline_s=20, details=[0])).groups[0]
    assert group.detail is not None
    sample = group.detail.samples[0]
    assert sample.program.source == problem.solution + "\n"
    assert sample.text == f"{before}{problem.solution}{after}"
    [made_of] = trajectories_of(group)
    assert made_of.finish_reason == "stop"
    end = len(f"{before}{problem.solution}\n".encode())
    half, at = len(sample.program.source.encode()) // 2, 0
    tokens = zip(made_of.executed_mask, made_of.cut_mask, sample.token_lengths, strict=True)
    for kept, cut_away, length in tokens:
        assert cut_away == (length > 0 and at >= end), "the end of sequence has no bytes"
        places = [sample.program.source_offset(offset) for offset in range(at, at + length)]
        inside = [place for place in places if place is not None]
        at += length
        if not inside:
            assert kept, "fences and prose are kept"
        elif max(inside) < half - 1:
            assert kept, "the first half ran"
        elif min(inside) > half:
            assert not kept, "the second half did not"
    assert at == len(sample.text.encode())


def test_a_round_that_misses_its_deadline_says_how_far_it_came(tokenizer: Any) -> None:
    made = collector(tokenizer, Fleet(tokenizer), Pool(delay_s=30))
    subtasks = [cut(PROBLEMS[0], FULL_TASK, KINDS)]
    with pytest.raises(TimeoutError, match=r"4 samples asked, 4 generated, 0 judged within 0.3 s"):
        asyncio.run(made.collect(subtasks, 4, 0, deadline_s=0.3))


def test_a_prompt_longer_than_the_context_is_refused_by_name(tokenizer: Any) -> None:
    made = collector(tokenizer, Fleet(tokenizer), Pool(), max_model_len=16, min_new_tokens=1)
    subtasks = [cut(PROBLEMS[2], FULL_TASK, KINDS)]
    with pytest.raises(RunFailed, match=rf"{PROBLEMS[2].id}: its prompt has .*max_model_len"):
        asyncio.run(made.collect(subtasks, 1, 0, deadline_s=5))


def test_a_prompt_that_the_engine_refuses_costs_its_samples_alone(
    tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, pool = Fleet(tokenizer), Pool()
    made = collector(tokenizer, fleet, pool)

    async def refuse_the_first(
        groups: Sequence[Sequence[Request]], _attempts: Any = None
    ) -> AsyncIterator[Completion]:
        first, *others = sorted(groups, key=lambda group: group[0].sample_id)
        for request in first:
            yield Completion(request.sample_id, (), (), "refused", 7, refusal="too long")
        async for completion in Fleet.generate(fleet, others):
            yield completion

    fleet.generate = refuse_the_first
    ledger = Ledger()
    ledger.asked(range(4))
    subtasks = [cut(problem, FULL_TASK, KINDS) for problem in PROBLEMS[:2]]
    finished = asyncio.run(made.collect(subtasks, 2, 0, deadline_s=20, ledger=ledger))
    assert [sample.sample_id for sample in finished.faults] == [0, 1]
    assert [sample.outcome for sample in finished.judged] == [Outcome.passed] * 2
    counts = ledger.close([2, 3], {0: "infra_error", 1: "infra_error"})
    assert (counts["trained"], counts["dropped"]) == (2, 2)
    assert f"problem {PROBLEMS[0].id}, sample 0: the engine refused the prompt" in caplog.text
    assert len(pool.jobs) == 2, "nothing is run for it"


def test_a_sample_that_the_sandbox_could_not_judge_has_no_reward(tokenizer: Any) -> None:
    made = collector(tokenizer, Fleet(tokenizer), Pool(Outcome.infra_error))
    subtasks = [cut(PROBLEMS[0], FULL_TASK, KINDS)]
    finished = asyncio.run(made.collect(subtasks, 2, 0, deadline_s=5))
    assert (len(finished.judged), len(finished.faults)) == (0, 2)
    with pytest.raises(ValueError, match="infra"):
        outcome_reward(finished.faults[0].outcome.value, RewardConfig())
    with pytest.raises(RuntimeError, match="judged none of 3 completions"):
        asyncio.run(evaluate(made, "heldout", PROBLEMS, 1, deadline_s=5))


def test_an_evaluation_asks_whole_problems_and_counts_by_tier(tokenizer: Any) -> None:
    fleet, pool = Fleet(tokenizer), Pool()
    made = collector(tokenizer, fleet, pool)
    hard = next(p for p in PROBLEMS if p.difficulty == "competition")
    prompt = tuple(tokenizer.encode(f"{hard.question}\n"))
    fleet.remainders[prompt] = "def f(a):\n    return 0"
    result = asyncio.run(evaluate(made, "heldout", PROBLEMS, 2, deadline_s=20))
    assert result.pass_at_1 == pytest.approx(
        {"overall": 2 / 3, "introductory": 1.0, "interview": 1.0, "competition": 0.0}
    )
    assert (result.problems, result.samples, result.unjudged) == (3, 6, 0)
    assert all(job.source.startswith("def f(a)") for job in pool.jobs)


def test_an_evaluation_samples_as_it_is_told(tokenizer: Any) -> None:
    fleet = Fleet(tokenizer)
    made = collector(tokenizer, fleet, Pool())
    for temperature, top_p in ((0.0, 1.0), (0.4, 0.9)):
        asyncio.run(evaluate(made, "heldout", PROBLEMS, 1, 20, temperature, top_p))
        assert {(r.temperature, r.top_p) for r in fleet.asked} == {(temperature, top_p)}
    asyncio.run(evaluate(made, "heldout", PROBLEMS, 1, 20))
    assert {(r.temperature, r.top_p) for r in fleet.asked} == {(RolloutConfig().temperature, 1.0)}


def test_missing_libraries_and_failed_checkers_are_counted(tokenizer: Any) -> None:
    """Each is an outcome detail of its own: neither says that the program is wrong."""
    verdicts = [
        Verdict("0", Outcome.passed, tests=()),
        Verdict("1", Outcome.runtime_error, (), error="ModuleNotFoundError: No module named 'a.b'"),
        Verdict("2", Outcome.runtime_error, (), error="ImportError: No module named 'a'"),
        Verdict("3", Outcome.runtime_error, (), error="NameError: name 'a' is not defined"),
        Verdict("4", Outcome.failed, (), error="ModuleNotFoundError: No module named 'c'"),
        Verdict("5", Outcome.infra_error, (TestResult(TestOutcome.checker_failed),)),
        Verdict("6", Outcome.infra_error, (TestResult(TestOutcome.not_run),)),
        Verdict("7", Outcome.passed, tests=()),
    ]
    made = collector(tokenizer, Fleet(tokenizer), Pool())
    subtask = cut(PROBLEMS[0], FULL_TASK, KINDS)
    finished = asyncio.run(made.collect([subtask], 8, 0, deadline_s=20, details=[0]))
    [group] = finished.groups
    assert group.detail is not None
    judged = [
        JudgedSample.of(replace(sample, verdict=verdict), None)
        for sample, verdict in zip(group.detail.samples, verdicts, strict=True)
    ]
    finished = replace(finished, groups=(replace(group, samples=tuple(judged)),))
    figures = rollout_figures(finished)
    assert figures["sandbox/missing_library"] == 2 / 8
    assert figures["sandbox/checker_failed"] == 1
    assert missing_libraries(judged) == {"a": 2}
    line = missing_line({"numpy": 4, "b": 3, "c": 2, "d": 1, "e": 1})
    assert line == "  no library numpy (4), b (3), c (2) and 2 more"
    assert missing_line({}) == ""


def test_orders_that_are_cancelled_leave_nothing_and_lose_nothing(tokenizer: Any) -> None:
    """Again and again: before they begin, while they are worked on, and when they have ended."""
    pool = Pool(delay_s=30)
    made = collector(tokenizer, Fleet(tokenizer), pool).handles[0].client
    assert isinstance(made, Collector)
    subtask = cut(PROBLEMS[0], FULL_TASK, KINDS)
    lost = Loss(0, "a life", 0)

    def order(number: int) -> Order:
        groups = (GroupOrder(0, subtask, {2 * number: 1, 2 * number + 1: 2}),)
        view = EnginesView(number, 0, ())
        return Order(number, 0, groups, Sampling(1.0, 1.0, 8), {}, view, True, 0.01)

    async def cancelled(number: int) -> list[Delivery]:
        if number % 2:
            await made.cancel(number)
            return [each async for each in made.collect(order(number))]
        deliveries = made.collect(order(number))
        waiting = asyncio.ensure_future(anext(deliveries))
        while len(pool.jobs) <= number:  # noqa: ASYNC110
            await asyncio.sleep(0)
        pool.lost = {lost}
        await made.cancel(number)
        first = await waiting
        return [first, *[each async for each in deliveries]]

    async def check() -> None:
        for number in range(20):
            assert (await cancelled(number))[-1].last
        assert not made._work
        for number in range(5000):
            await made.cancel(number)
        assert len(made._cancelled) <= 1000
        assert made.was_cancelled(4999)
        pool.delay_s = 0.0
        told = [each async for each in made.collect(order(5000))]
        losses = [loss for each in told for loss in each.losses]
        assert losses == [lost], "nobody took the deliveries before"
        assert [group.index for each in told for group in each.finished] == [0]

    asyncio.run(check())
