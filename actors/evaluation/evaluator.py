"""Evaluator: has every sample of an evaluation generated and judged, once.

Generation and judging overlap: a program goes to the sandboxes as soon as it is written.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.evaluation.sample_log import SampleLog
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Completion, Request
from actors.sandboxes.pool import SandboxPool
from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig
from curriculum.problem import Problem
from curriculum.prompt import Prompt
from learner.tokenizer import completion_text
from sandbox import Job, Limits, Outcome

logger = logging.getLogger(__name__)

_JOBS_PER_SLOT = 4
"""Programs with the pool, per sandbox slot: a slot never waits for the driver."""


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
        fleet: RolloutFleet,
        token_bytes: Sequence[bytes],
        context_len: int,
        pool: SandboxPool | None,
    ) -> None:
        """Generate the samples that the log lacks, and judge those without a verdict.

        Args:
            tasks: all problems, whether or not the log has some of their samples.
            sampling: how completions are drawn.
            fleet: generates them.
            token_bytes: the bytes that each token id adds to a text.
            context_len: longest prompt and completion together [tokens].
            pool: judges them; None only generates.
        """
        requests, task_of = self._requests(tasks, sampling, context_len, pool is not None)
        async with self._judging(pool) as judge:
            started = time.monotonic()
            async for completion in fleet.generate(requests):
                task, number = task_of[completion.sample_id]
                if completion.refusal:
                    logger.warning("%s, sample %d: %s", task.task_id, number, completion.refusal)
                sample = generated_sample(task, number, completion, token_bytes, self._answer)
                self._log.add_sample(sample)
                self.generation.tokens += len(completion.token_ids)
                self.generation.seconds = time.monotonic() - started
                judge(sample)

    async def judge(self, pool: SandboxPool) -> None:
        """Judge the samples of the log that have no verdict."""
        async with self._judging(pool):
            pass

    @asynccontextmanager
    async def _judging(
        self, pool: SandboxPool | None
    ) -> AsyncIterator[Callable[[GeneratedSample], None]]:
        """Yield what takes a sample to be judged; on leaving, all of them are.

        The samples of the log without a verdict are among them. Without a pool none is judged.
        """
        if pool is None:
            yield lambda _sample: self._on_sample(None)
            return
        slots = asyncio.Semaphore(_JOBS_PER_SLOT * len(pool.workers) * pool.config.slots_per_worker)
        try:
            async with asyncio.TaskGroup() as judging:

                def judge(sample: GeneratedSample) -> None:
                    judging.create_task(self._judge(sample, pool, slots))

                for sample in self._log.unjudged:
                    judge(sample)
                yield judge
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

    def _requests(
        self, tasks: Sequence[Task], sampling: Sampling, context_len: int, judged: bool
    ) -> tuple[list[list[Request]], dict[int, tuple[Task, int]]]:
        """The requests of the missing samples, grouped by prompt, and what each is for.

        A prompt that leaves no room for a completion is answered by nothing, and counts as
        truncated.
        """
        groups: list[list[Request]] = []
        task_of: dict[int, tuple[Task, int]] = {}
        for task in tasks:
            group: list[Request] = []
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
                group.append(
                    Request(
                        sample_id=sample_id,
                        prompt_ids=task.prompt.ids,
                        seed=sample_seed(sampling.seed, key),
                        max_tokens=min(sampling.max_new_tokens, room),
                        temperature=sampling.temperature,
                        top_p=sampling.top_p,
                    )
                )
            if group:
                groups.append(group)
        return groups, task_of


def generated_sample(
    task: Task,
    number: int,
    completion: Completion,
    token_bytes: Sequence[bytes],
    answer: AnswerConfig,
) -> GeneratedSample:
    """The sample that a completion makes."""
    text = completion_text(completion.token_ids, token_bytes)
    program = assemble(task.problem, task.prompt, text, answer)
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
    return generated_sample(task, number, empty, (), answer)
