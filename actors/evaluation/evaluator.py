"""Evaluator: has every sample of an evaluation generated and judged, once.

Generation and judging overlap (`actors/collectors`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from actors.collectors import messages
from actors.collectors.group import CollectorGroup
from actors.collectors.messages import GroupOrder
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.evaluation.sample_log import SampleLog
from actors.rollout.round import read_detail
from actors.rollout.samples import Completion, Sample
from actors.sandboxes.pool import SandboxPool
from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig
from curriculum.problem import Problem
from curriculum.program import Program
from curriculum.prompt import Prompt
from curriculum.subtask import FULL_TASK, cut
from sandbox import Job, Limits, Outcome

_JOBS_PER_SLOT = 4
"""Programs with the pool, per sandbox slot: a slot never waits for the driver."""

_WAIT_S = 0.1
"""Longest wait of a finished problem to be written [seconds]."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    samples: int
    """Completions of each problem."""
    temperature: float
    """0 is greedy."""
    top_p: float
    """Probability mass that is sampled from."""
    max_new_tokens: int
    """Longest completion [tokens]."""
    seed: int
    """With a problem's id and a sample's number it seeds the sample, whatever else is evaluated."""


@dataclass(frozen=True)
class Task:
    """One problem to be answered."""

    suite: str
    problem: Problem
    task_id: str
    prompt: Prompt


@dataclass
class Generation:
    """What generation cost in this process."""

    tokens: int = 0
    seconds: float = 0.0
    """From the first request to the last completion."""


class Evaluator:
    """Generates and judges what is missing in a log."""

    def __init__(
        self,
        log: SampleLog,
        problems: Mapping[tuple[str, str], Problem],
        limits: Limits,
        on_sample: Callable[[SampleVerdict | None], None],
        answer: AnswerConfig | None = None,
    ) -> None:
        """Evaluate into `log`.

        Args:
            log: holds what an earlier process did, and gets what this one does.
            problems: by suite and id.
            limits: of each program.
            on_sample: called with each verdict, or with None for a sample that is only generated.
            answer: how the program in a completion is found.
        """
        self._answer = answer or AnswerConfig()
        self._log = log
        self._problems = problems
        self._limits = limits
        self._on_sample = on_sample
        self.generation = Generation()

    async def generate(
        self,
        tasks: Sequence[Task],
        sampling: Sampling,
        collectors: CollectorGroup,
        context_len: int,
        pool: SandboxPool | None,
    ) -> None:
        """Generate the samples that the log lacks, and judge those without a verdict.

        A sample is written to the log when it is generated and judged.

        Args:
            tasks: all problems, whether or not the log has some of their samples.
            sampling: how completions are drawn.
            collectors: generate and judge.
            context_len: longest prompt and completion together [tokens].
            pool: judges what the log already has; None only generates.
        """
        orders, task_of = self._orders(tasks, sampling, context_len, pool is not None)
        if pool is not None:
            await self.judge(pool)
        started = time.monotonic()
        drawn = messages.Sampling(sampling.temperature, sampling.top_p, sampling.max_new_tokens)
        deliveries = collectors.stream(orders, drawn, wait_s=_WAIT_S)
        async with aclosing(deliveries):  # type: ignore[type-var]
            async for _, delivery in deliveries:
                for group in delivery.finished:
                    for sample in read_detail(group.detail)[1]:
                        task, number = task_of[sample.sample_id]
                        self._take(task, number, sample, pool is not None)
                if delivery.completion_age_s is not None:
                    last = time.monotonic() - delivery.completion_age_s
                    self.generation.seconds = max(self.generation.seconds, last - started)

    def _take(self, task: Task, number: int, sample: Sample, judged: bool) -> None:
        """Write a sample that a collector made, and its verdict where it is judged."""
        completion = sample.completion
        self.generation.tokens += len(completion.token_ids)
        generated = generated_sample(task, number, completion, sample.program, sample.text)
        self._log.add_sample(generated)
        verdict = None
        if judged:
            verdict = SampleVerdict.of(generated.key, sample.verdict)
            self._log.add_verdict(verdict)
        self._on_sample(verdict)

    async def judge(self, pool: SandboxPool) -> None:
        """Judge the samples of the log that have no verdict."""
        slots = asyncio.Semaphore(_JOBS_PER_SLOT * len(pool.workers) * pool.config.slots_per_worker)
        try:
            async with asyncio.TaskGroup() as judging:
                for sample in self._log.unjudged:
                    judging.create_task(self._judge(sample, pool, slots))
        except BaseExceptionGroup as group:  # the first one ended the others
            raise group.exceptions[0] from None

    async def _judge(
        self, sample: GeneratedSample, pool: SandboxPool, slots: asyncio.Semaphore
    ) -> None:
        key = sample.key
        problem = self._problems[key.suite, key.problem]
        if sample.finish_reason == "refused":
            error = "the engine refused the prompt"
            verdict = SampleVerdict(key, Outcome.infra_error, error)
        else:
            async with slots:
                job = Job.for_program(problem, sample.solution, self._limits, id=f"{key.number}")
                verdict = SampleVerdict.of(key, await pool.run(job))
        self._log.add_verdict(verdict)
        self._on_sample(verdict)

    def _orders(
        self, tasks: Sequence[Task], sampling: Sampling, context_len: int, judged: bool
    ) -> tuple[list[GroupOrder], dict[int, tuple[Task, int]]]:
        """The missing samples, each an order of its own, and what each is for, by sample id.

        So a sample that has ended is not lost with others of its prompt, which engines compute once
        all the same, by their prefix caches. A prompt that leaves no room for a completion is
        answered by nothing, and counts as truncated.
        """
        orders: list[GroupOrder] = []
        task_of: dict[int, tuple[Task, int]] = {}
        for task in tasks:
            subtask = cut(task.problem, FULL_TASK, frozenset())
            room = context_len - len(task.prompt.ids)
            for number in range(sampling.samples):
                key = SampleKey(task.suite, task.problem.id, number)
                if key in self._log.samples:
                    continue
                if room < 1:
                    self._log.add_sample(_without_room(task, number, self._answer))
                    if not judged:
                        self._on_sample(None)
                    continue
                sample_id = len(task_of)
                task_of[sample_id] = task, number
                seeds = {sample_id: sample_seed(sampling.seed, key)}
                orders.append(GroupOrder(len(orders), subtask, seeds, detail=True))
        return orders, task_of


def generated_sample(
    task: Task, number: int, completion: Completion, program: Program, text: str
) -> GeneratedSample:
    """The sample that a completion makes, read as this program and text."""
    return GeneratedSample(
        key=SampleKey(task.suite, task.problem.id, number),
        task_id=task.task_id,
        solution=program.source,
        completion=text,
        program_bytes=(program.begin, program.end),
        cuts=tuple((cut.begin, cut.end, cut.rule) for cut in program.cuts),
        finish_reason=completion.finish_reason,
        prompt_tokens=len(task.prompt.ids),
        completion_tokens=len(completion.token_ids),
        generation_seconds=round(completion.seconds, 6),
    )


def sample_seed(seed: int, key: SampleKey) -> int:
    """The seed of one sample's random stream, below 2^62."""
    text = f"{seed}\n{key.suite}\n{key.problem}\n{key.number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2


def _without_room(task: Task, number: int, answer: AnswerConfig) -> GeneratedSample:
    empty = Completion(0, (), (), "length", 0)
    program = assemble(task.problem, task.prompt, "", answer)
    return generated_sample(task, number, empty, program, "")
