"""The evaluator: every sample is generated and judged once, also by a process that continues.

Fleet and pool are stand-ins; the evaluator between them is real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.collectors.collector import Reading
from actors.config import RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed
from actors.evaluation.evaluator import Evaluator, Sampling, Task, sample_seed
from actors.evaluation.records import SampleKey
from actors.evaluation.sample_log import SampleLog
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.samples import Completion, Request
from actors.rollout.supervisor import Supervisor
from curriculum import PromptConfig, cut, synthetic_problems
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import FULL_TASK
from deploy.bench.fleet.fake_actors import local_collectors
from learner.tokenizer import token_bytes, train_tokenizer
from sandbox import Job, Limits, Outcome, Verdict

PROBLEMS = synthetic_problems(seed=4, per_tier=1)
SAMPLING = Sampling(samples=3, temperature=0.8, top_p=0.95, max_new_tokens=64, seed=5)


class Fleet:
    """Writes as many letters as the seed says; ends in reverse order, and may break off."""

    def __init__(self, tokenizer: Any, breaks_after: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.breaks_after = breaks_after
        self.asked: list[Request] = []
        engine = EngineHandle("rollout-0", None, loaded=True)
        self.engines = (engine,)
        self.supervisor = Supervisor([engine], RolloutConfig(), colocated=False)

    async def generate(
        self, groups: Sequence[Sequence[Request]], _attempts: Any
    ) -> AsyncIterator[Completion]:
        self.asked = [request for group in groups for request in group]
        for number, request in enumerate(reversed(self.asked)):
            if number == self.breaks_after:
                raise RunFailed("no rollout engine is left")
            await asyncio.sleep(0)
            ids = tuple(self.tokenizer.encode("x = 1\n" * (1 + request.seed % 3)))
            yield Completion(request.sample_id, ids, (-0.5,) * len(ids), "stop", 0)


class Pool:
    """Passes programs of one line; records the jobs."""

    def __init__(self) -> None:
        self.workers = [None]
        self.config = SandboxPoolConfig()
        self.jobs: list[Job] = []
        self.lost: set[Any] = set()

    async def run(self, job: Job) -> Verdict:
        self.jobs.append(job)
        await asyncio.sleep(0)
        passed = job.source.count("\n") == 1
        return Verdict(job.id, Outcome.passed if passed else Outcome.failed, tests=())


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer((f"{p.question}\n{p.solution}" for p in PROBLEMS), 400)


@pytest.fixture(scope="module")
def tasks(tokenizer: Any) -> list[Task]:
    encoder = PromptEncoder(tokenizer, token_bytes(tokenizer), PromptConfig())
    return [
        Task("s", problem, problem.id, encoder.encode(cut(problem, FULL_TASK, frozenset())))
        for problem in PROBLEMS
    ]


def evaluate(
    folder: Path,
    tasks: list[Task],
    fleet: Fleet,
    pool: Pool | None,
    context_len: int = 4096,
    sampling: Sampling = SAMPLING,
) -> int:
    """Run the evaluator on the log in `folder`; returns how often it reported a sample."""
    reported: list[Any] = []
    problems = {(task.suite, task.problem.id): task.problem for task in tasks}
    evaluator = Evaluator(SampleLog(folder), problems, Limits(), reported.append)
    config = RolloutConfig(max_model_len=context_len, min_new_tokens=1)
    reading = Reading(Limits())
    made_by = local_collectors(fleet, pool, fleet.tokenizer, config, reading, seed=0)
    asyncio.run(evaluator.generate(tasks, sampling, made_by, context_len, pool))  # type: ignore[arg-type]
    return len(reported)


def judge(folder: Path, tasks: list[Task], pool: Pool) -> None:
    problems = {(task.suite, task.problem.id): task.problem for task in tasks}
    evaluator = Evaluator(SampleLog(folder), problems, Limits(), lambda _: None)
    asyncio.run(evaluator.judge(pool))  # type: ignore[arg-type]


def written(folder: Path) -> dict[SampleKey, tuple[str, Outcome]]:
    log = SampleLog(folder)
    return {key: (s.solution, log.verdicts[key].outcome) for key, s in log.samples.items()}


def test_every_sample_is_generated_and_judged_once(
    tokenizer: Any, tasks: list[Task], tmp_path: Path
) -> None:
    fleet, pool = Fleet(tokenizer), Pool()
    assert evaluate(tmp_path, tasks, fleet, pool) == len(pool.jobs) == len(written(tmp_path)) == 9
    assert len({request.seed for request in fleet.asked}) == 9
    assert {request.top_p for request in fleet.asked} == {0.95}
    assert {outcome for _, outcome in written(tmp_path).values()} == {
        Outcome.passed,
        Outcome.failed,
    }


@pytest.mark.parametrize("breaks_after", range(0, 9, 2))
def test_a_broken_evaluation_continues_to_the_same_samples_and_judges_none_twice(
    tokenizer: Any, tasks: list[Task], tmp_path: Path, breaks_after: int
) -> None:
    whole, cut_off = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut_off.mkdir()
    evaluate(whole, tasks, Fleet(tokenizer), Pool())
    first, second = Pool(), Pool()
    with pytest.raises(RunFailed, match="no rollout engine is left"):
        evaluate(cut_off, tasks, Fleet(tokenizer, breaks_after), first)
    judged = len(SampleLog(cut_off).verdicts)
    fleet = Fleet(tokenizer)
    evaluate(cut_off, tasks, fleet, second)
    assert judged <= breaks_after
    assert len(fleet.asked) == len(second.jobs) == 9 - judged
    assert written(cut_off) == written(whole)


def test_generating_and_judging_apart_give_what_they_give_together(
    tokenizer: Any, tasks: list[Task], tmp_path: Path
) -> None:
    together, apart = tmp_path / "together", tmp_path / "apart"
    together.mkdir()
    apart.mkdir()
    evaluate(together, tasks, Fleet(tokenizer), Pool())
    assert evaluate(apart, tasks, Fleet(tokenizer), None) == 9
    assert not SampleLog(apart).verdicts
    judge(apart, tasks, Pool())
    assert written(apart) == written(together)


def test_a_prompt_without_room_for_an_answer_is_judged_as_an_empty_program(
    tokenizer: Any, tasks: list[Task], tmp_path: Path
) -> None:
    longest = max(len(task.prompt.ids) for task in tasks)
    fleet = Fleet(tokenizer)
    evaluate(tmp_path, tasks, fleet, Pool(), context_len=longest)
    log = SampleLog(tmp_path)
    empty = [sample for sample in log.samples.values() if sample.completion == ""]
    assert 3 <= len(empty) < 9
    assert len(log.verdicts) == 9
    assert {sample.finish_reason for sample in empty} == {"length"}
    assert all(len(r.prompt_ids) + r.max_tokens <= longest for r in fleet.asked)


def test_the_seed_of_a_sample_depends_on_nothing_but_itself() -> None:
    keys = [SampleKey(s, p, n) for s in "ab" for p in ("p/1", "p/11") for n in (0, 1)]
    seeds = [sample_seed(0, key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert seeds == [sample_seed(0, key) for key in keys]
    assert sample_seed(1, keys[0]) != seeds[0]
    assert max(seeds) < 1 << 62
