"""Collector: orders of prompts in, groups of judged samples out.

Generation and judging overlap: a completion goes to the sandbox as soon as it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from actors.collectors.engines import EngineBoard
from actors.collectors.messages import (
    Delivery,
    EnginesView,
    FinishedGroup,
    GroupOrder,
    Order,
    Progress,
    Sampling,
)
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rewards.shipped import shipped_reward
from actors.rollout.round import JudgedSample, pack_detail
from actors.rollout.samples import (
    Completion,
    Request,
    RolloutGroup,
    Sample,
    own_programs,
    trajectory_group,
)
from actors.sandboxes.pool import Loss
from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig, PromptConfig
from curriculum.prompt import Prompt
from curriculum.prompts.encode import PromptEncoder
from learner.config import RewardConfig
from learner.reward import Reward
from learner.tokenizer import completion_text, text_lengths, token_bytes
from learner.trajectory import PackedGroup, pack
from sandbox import Job, Limits, Outcome, Verdict

logger = logging.getLogger(__name__)

_BEAT_S = 0.5
"""Time between two looks at what there is to deliver [seconds]."""

_REMEMBERED = 1000
"""Cancelled orders that are remembered: the driver may still ask for one, or have it begun, when it
has cancelled it, but not for long."""

_T = TypeVar("_T")


class Generator(Protocol):
    """Generates completions: a `Dispatcher`."""

    def generate(
        self, groups: Sequence[Sequence[Request]], attempts: Counter[int]
    ) -> AsyncIterator[Completion]:
        """Yield every completion once, in the order in which they end."""
        ...


class Judges(Protocol):
    """Runs programs: a `SandboxPool`."""

    lost: set[Loss]

    async def run(self, job: Job) -> Verdict:
        """The verdict of one job."""
        ...


@dataclass(frozen=True)
class Reading:
    """How prompts are written, answers are read and rewarded."""

    limits: Limits
    """Of each program."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)


@dataclass
class _Group:
    """A group whose samples are still being written or judged."""

    order: GroupOrder
    prompt: Prompt
    requests: tuple[Request, ...]
    samples: list[Sample] = field(default_factory=list)


@dataclass
class _Work:
    """An order under way, and what it came to so far."""

    order: Order
    attempts: Counter[int]
    task: asyncio.Task[None] | None = None
    finished: list[FinishedGroup] = field(default_factory=list)
    """Not delivered yet."""
    generated: int = 0
    """Samples, without those of delivered groups."""
    judged: int = 0
    """Samples, without those of delivered groups."""
    told_attempts: int = 0
    last_completion: float | None = None
    """When the newest completion arrived, by `time.monotonic()`."""
    peak_judging: int = 0


class Collector:
    """Has completions generated, judges each as soon as it ends, and builds the trajectories.

    Reading and packing are the processor's work; they run in a thread, so that the event loop
    answers heartbeats and hears of deadlines meanwhile.
    """

    def __init__(
        self,
        generator: Generator,
        pool: Judges | None,
        tokenizer: Any,
        config: RolloutConfig,
        reading: Reading,
        board: EngineBoard | None = None,
    ) -> None:
        """Use these parts.

        Args:
            generator: has the engines generate.
            pool: judges; None only generates, and every verdict says that nothing was run.
            tokenizer: of the policy.
            config: length of the context and of responses.
            reading: prompts, answers, rewards.
            board: the state of the engines; None where the generator needs none.
        """
        self._generator = generator
        self._pool = pool
        self._config = config
        self._reading = reading
        self._board = board
        self._bytes = token_bytes(tokenizer)
        self._encoder = PromptEncoder(tokenizer, self._bytes, reading.prompt, reading.answer)
        self._work: dict[int, _Work] = {}
        """Orders under way, by number."""
        self._cancelled: deque[int] = deque(maxlen=_REMEMBERED)
        """Orders that were cancelled, some before they began."""
        self._told_losses: set[Loss] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="collector")

    def update(self, view: EnginesView) -> None:
        """Take the state of the engines."""
        if self._board is not None:
            self._board.update(view)

    async def cancel(self, number: int) -> None:
        """End an order: engines and sandboxes are told to stop, and its last delivery follows."""
        self._cancelled.append(number)
        self._told_losses.clear()  # the driver may not have taken what was told last
        if (work := self._work.get(number)) and work.task:
            work.task.cancel()
            await asyncio.wait({work.task})

    def was_cancelled(self, number: int) -> bool:
        """Whether an order was to be ended."""
        return number in self._cancelled

    async def progress(self, round_number: int) -> Progress:
        """How far the round's orders came, without the groups that were delivered."""
        mine = [work for work in self._work.values() if work.order.round == round_number]
        return Progress(sum(work.generated for work in mine), sum(work.judged for work in mine))

    async def collect(self, order: Order) -> AsyncGenerator[Delivery, None]:
        """Generate and judge the groups of an order; yields those that are finished, some at once.

        The last delivery lacks the groups that were not finished when the order was cancelled.

        Raises:
            RunFailed: a prompt leaves no room for its completion within the context, or a request
                was lost with `rollout.retries` + 1 engines.
            TimeoutError: no sandbox worker answers.
        """
        self.update(order.engines)
        if order.number in self._cancelled:
            yield Delivery((), last=True)
            return
        work = self._work[order.number] = _Work(order, Counter(order.attempts))
        work.told_attempts = work.attempts.total()
        work.task = asyncio.create_task(self._fill(work))
        try:
            delivered = time.monotonic()
            beat_s = min(order.wait_s, _BEAT_S)
            while not (await asyncio.wait({work.task}, timeout=beat_s))[0]:
                due = work.finished and time.monotonic() - delivered >= order.wait_s
                if due or self._has_losses():
                    yield self._delivery(work)
                    delivered = time.monotonic()
            failed = not work.task.cancelled() and work.task.exception() is not None
            yield self._delivery(work, last=not failed)
            if failed:
                work.task.result()
        finally:
            work.task.cancel()
            await asyncio.gather(work.task, return_exceptions=True)
            del self._work[order.number]

    def _has_losses(self) -> bool:
        """Whether there are engines or sandbox workers that the driver must hear of."""
        failed = self._board is not None and self._board.has_failures
        return failed or (self._pool is not None and bool(self._pool.lost - self._told_losses))

    def _delivery(self, work: _Work, last: bool = False) -> Delivery:
        finished, work.finished = tuple(work.finished), []
        samples = sum(len(group.samples) for group in finished)
        work.generated -= samples
        work.judged -= samples
        lost = self._pool.lost if self._pool else set[Loss]()
        losses = tuple(lost - self._told_losses)
        if work.order.number not in self._cancelled:  # else nobody may take it
            self._told_losses.update(losses)
        attempts = None
        if work.attempts.total() != work.told_attempts:
            attempts, work.told_attempts = dict(work.attempts), work.attempts.total()
        newest = work.last_completion
        return Delivery(
            finished=finished,
            failures=self._board.take_failures() if self._board else (),
            losses=losses,
            attempts=attempts,
            completion_age_s=None if newest is None else time.monotonic() - newest,
            peak_judging=work.peak_judging,
            outstanding_tokens=self._board.outstanding_tokens if self._board else 0,
            processor_s=time.process_time(),
            last=last,
        )

    async def _fill(self, work: _Work) -> None:
        """Generate and judge everything that the order asks for."""
        groups = await self._in_thread(self._prepare, work.order)
        group_of = {request.sample_id: group for group in groups for request in group.requests}
        requests = [group.requests for group in groups]
        try:
            async with asyncio.TaskGroup() as judging:
                generated = self._generator.generate(requests, work.attempts)
                async with aclosing(generated) as completions:  # type: ignore[type-var]
                    async for completion in completions:
                        work.generated += 1
                        work.last_completion = time.monotonic()
                        group = group_of[completion.sample_id]
                        judging.create_task(self._judge(work, group, completion))
                        work.peak_judging = max(work.peak_judging, self._unjudged(work))
        except BaseExceptionGroup as error:  # the first one ended the others
            raise error.exceptions[0] from None

    def _unjudged(self, work: _Work) -> int:
        """Completions of the work's round that wait for their verdict."""
        mine = (each for each in self._work.values() if each.order.round == work.order.round)
        return sum(each.generated - each.judged for each in mine)

    async def _judge(self, work: _Work, group: _Group, completion: Completion) -> None:
        """Run a completion's program; the last one of its group finishes the group."""
        read = await self._in_thread(self._read, group, completion)
        sample_id, problem = completion.sample_id, group.order.subtask.problem
        if completion.refusal:
            error = f"the engine refused the prompt: {completion.refusal}"
            logger.warning("problem %s, sample %d: %s", problem.id, sample_id, error)
            verdict = Verdict(f"{sample_id}", Outcome.infra_error, tests=(), error=error)
        elif self._pool is None:
            error = "no sandbox was asked"
            verdict = Verdict(f"{sample_id}", Outcome.infra_error, tests=(), error=error)
        else:
            verdict = await self._pool.run(read.job)
        work.judged += 1
        group.samples.append(read.judged(verdict))
        if len(group.samples) == len(group.requests):
            finished = await self._in_thread(self._finish, group, work.order.trajectories)
            work.finished.append(finished)

    async def _in_thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    # ------------------------------------------------------------------------- in the thread

    def _prepare(self, order: Order) -> list[_Group]:
        return [self._group(each, order.sampling) for each in order.groups]

    def _group(self, order: GroupOrder, sampling: Sampling) -> _Group:
        """A group with a request for each of its samples.

        Raises:
            RunFailed: the prompt leaves no room for a completion; a run leaves such problems out
                at its start.
        """
        prompt = self._encoder.encode(order.subtask)
        room = self._config.max_model_len - len(prompt.ids)
        if room < 1:
            raise RunFailed(
                f"problem {order.subtask.problem.id}: its prompt has {len(prompt.ids)} tokens, and "
                f"rollout.max_model_len is {self._config.max_model_len}: raise it, or leave the "
                f"problem out"
            )
        requests = tuple(
            Request(
                sample_id=sample_id,
                prompt_ids=prompt.ids,
                seed=seed,
                max_tokens=min(sampling.max_new_tokens, room),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
            )
            for sample_id, seed in order.seeds.items()
        )
        return _Group(order, prompt, requests)

    def _read(self, group: _Group, completion: Completion) -> _Read:
        text = completion_text(completion.token_ids, self._bytes)
        problem = group.order.subtask.problem
        program = assemble(problem, group.prompt, text, self._reading.answer)
        lengths = tuple(text_lengths(completion.token_ids, self._bytes))
        job_id = f"{completion.sample_id}"
        job = Job.for_program(problem, program.source, self._reading.limits, id=job_id)

        def judged(verdict: Verdict) -> Sample:
            return Sample(completion.sample_id, completion, program, text, lengths, verdict)

        return _Read(job, judged)

    def _finish(self, group: _Group, trajectories: bool) -> FinishedGroup:
        samples = tuple(sorted(group.samples, key=lambda sample: sample.sample_id))
        rewards: dict[int, Reward] = {}
        packed: PackedGroup | None = None
        whole = RolloutGroup(group.order.subtask, group.prompt, samples)
        if trajectories:
            longest, config = self._config.max_new_tokens, self._reading.reward
            rewards = {
                sample.sample_id: shipped_reward(sample, config, longest)
                for sample in samples
                if sample.judged
            }
            made = trajectory_group(whole, rewards)
            packed = pack(made) if made else None
        return FinishedGroup(
            index=group.order.index,
            prompt_tokens=len(group.prompt.ids),
            samples=tuple(JudgedSample.of(s, rewards.get(s.sample_id)) for s in samples),
            trajectories=packed,
            programs=tuple(own_programs(whole, self._config.longest_prompt))
            if group.order.programs
            else (),
            detail=pack_detail(group.prompt, samples) if group.order.detail else b"",
        )


@dataclass(frozen=True)
class _Read:
    """A completion that was read."""

    job: Job
    judged: Callable[[Verdict], Sample]
