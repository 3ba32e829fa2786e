"""Collector: subtasks in, groups of judged samples out.

Generation and judging overlap: a completion goes to the sandbox as soon as it ends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.fleet import RolloutFleet
from actors.rollout.ledger import GENERATED, JUDGED, Ledger
from actors.rollout.samples import Completion, Request, RolloutGroup, Sample
from actors.sandboxes.pool import SandboxPool
from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig, PromptConfig
from curriculum.prompt import Prompt
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import Subtask
from learner.tokenizer import completion_text, text_lengths, token_bytes
from sandbox import Job, Limits, Outcome, Verdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """The groups of one round of generation, and where its time went."""

    groups: tuple[RolloutGroup, ...]
    """In the order of their subtasks, and so of their samples' ids."""
    rollout_s: float
    """To the last completion, from the request or from the last completion of the round before,
    whichever was later: what generation adds to the run [seconds]."""
    sandbox_s: float
    """From the last completion to the last verdict: what judging adds to the round [seconds]."""
    peak_judging: int
    """Largest number of completions that waited for their verdict at a time."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Every sample, in the order of their ids."""
        return tuple(sample for group in self.groups for sample in group.samples)

    @property
    def judged(self) -> tuple[Sample, ...]:
        """The samples that the sandbox judged."""
        return tuple(sample for group in self.groups for sample in group.judged)

    @property
    def faults(self) -> tuple[Sample, ...]:
        """The samples that the sandbox could not judge."""
        return tuple(sample for group in self.groups for sample in group.faults)

    def followed_by(self, other: Round) -> Round:
        """This round and one that was asked after it, as one."""
        return Round(
            self.groups + other.groups,
            self.rollout_s + other.rollout_s,
            self.sandbox_s + other.sandbox_s,
            max(self.peak_judging, other.peak_judging),
        )


@dataclass
class _PendingGroup:
    """A group whose samples are still being written or judged."""

    subtask: Subtask
    prompt: Prompt
    requests: tuple[Request, ...]
    samples: list[Sample] = field(default_factory=list)

    def finished(self) -> RolloutGroup:
        """The whole group; samples arrive in any order and are put in the order of their ids."""
        samples = tuple(sorted(self.samples, key=lambda sample: sample.sample_id))
        return RolloutGroup(self.subtask, self.prompt, samples)


class Collector:
    """Asks the fleet for completions and has each judged as soon as it ends."""

    def __init__(
        self,
        fleet: RolloutFleet,
        pool: SandboxPool,
        tokenizer: Any,
        config: RolloutConfig,
        limits: Limits,
        seed: int,
        prompt: PromptConfig | None = None,
        answer: AnswerConfig | None = None,
    ) -> None:
        self._fleet = fleet
        self._pool = pool
        self._config = config
        self._limits = limits
        self._seed = seed
        self._last_completion = 0.0
        """When the newest completion of any round arrived, by `time.monotonic()`."""
        self._answer = answer or AnswerConfig()
        self._bytes = token_bytes(tokenizer)
        self._encoder = PromptEncoder(
            tokenizer, self._bytes, prompt or PromptConfig(), self._answer
        )

    async def collect(
        self,
        subtasks: Sequence[Subtask],
        samples_each: int,
        first_id: int,
        deadline_s: float,
        ledger: Ledger | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
    ) -> Round:
        """Generate and judge one group of `samples_each` completions for every subtask.

        Sample ids run from `first_id`; each seeds its own sampling, so that a resumed run draws the
        same random streams. `ledger` records each sample that is generated or judged. Temperature
        and top_p are those of training, if not given.

        Raises:
            TimeoutError: the round took longer than `deadline_s`; says how far it came.
            RunFailed: a prompt leaves no room for its completion within the context.
        """
        ids = itertools.count(first_id)
        sampling = (self._config.temperature if temperature is None else temperature, top_p)
        groups = [self._pending(subtask, samples_each, ids, *sampling) for subtask in subtasks]
        group_of = {request.sample_id: group for group in groups for request in group.requests}
        completions = peak = 0
        started = last = time.monotonic()
        judging: list[asyncio.Task[None]] = []
        unjudged: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout(deadline_s):
                requests = [group.requests for group in groups]
                async for completion in self._fleet.generate(requests):
                    completions += 1
                    last = time.monotonic()
                    work = self._judge(group_of[completion.sample_id], completion, ledger)
                    task = asyncio.create_task(work)
                    judging.append(task)
                    unjudged.add(task)
                    task.add_done_callback(unjudged.discard)
                    peak = max(peak, len(unjudged))
                await asyncio.gather(*judging)
        except TimeoutError as error:
            judged = sum(task.done() and not task.cancelled() for task in judging)
            raise TimeoutError(
                f"{len(group_of)} samples asked, {completions} generated, {judged} judged within "
                f"{deadline_s:g} s{': ' if str(error) else ''}{error}"
            ) from None
        finally:
            for task in judging:
                task.cancel()
        if started < self._last_completion < last:  # it waited for a round that was asked before
            started = self._last_completion
        self._last_completion = max(self._last_completion, last)
        finished = tuple(group.finished() for group in groups)
        return Round(finished, last - started, time.monotonic() - last, peak)

    @property
    def longest_prompt(self) -> int:
        """Most tokens that a prompt may have."""
        return self._config.longest_prompt

    def _pending(
        self,
        subtask: Subtask,
        samples_each: int,
        ids: itertools.count[int],
        temperature: float,
        top_p: float,
    ) -> _PendingGroup:
        """A group with a request for each of its samples.

        Raises:
            RunFailed: the prompt leaves no room for a completion; a run leaves such problems out
                at its start.
        """
        prompt = self._encoder.encode(subtask)
        room = self._config.max_model_len - len(prompt.ids)
        if room < 1:
            raise RunFailed(
                f"problem {subtask.problem.id}: its prompt has {len(prompt.ids)} tokens, and "
                f"rollout.max_model_len is {self._config.max_model_len}: raise it, or leave the "
                f"problem out"
            )
        requests = tuple(
            Request(
                sample_id=sample_id,
                prompt_ids=prompt.ids,
                seed=(self._seed << 32) + sample_id,
                max_tokens=min(self._config.max_new_tokens, room),
                temperature=temperature,
                top_p=top_p,
            )
            for sample_id in itertools.islice(ids, samples_each)
        )
        return _PendingGroup(subtask, prompt, requests)

    async def _judge(
        self, group: _PendingGroup, completion: Completion, ledger: Ledger | None
    ) -> None:
        """Run a completion's program and put the judged sample into its group."""
        sample_id = completion.sample_id
        if ledger is not None:
            ledger.reached(sample_id, GENERATED)
        text = completion_text(completion.token_ids, self._bytes)
        problem = group.subtask.problem
        program = assemble(problem, group.prompt, text, self._answer)
        if completion.refusal:
            error = f"the engine refused the prompt: {completion.refusal}"
            logger.warning("problem %s, sample %d: %s", problem.id, sample_id, error)
            verdict = Verdict(f"{sample_id}", Outcome.infra_error, tests=(), error=error)
        else:
            job = Job.for_program(problem, program.source, self._limits, id=f"{sample_id}")
            verdict = await self._pool.run(job)
        if ledger is not None:
            ledger.reached(sample_id, JUDGED)
        group.samples.append(
            Sample(
                sample_id=sample_id,
                completion=completion,
                program=program,
                text=text,
                token_lengths=tuple(text_lengths(completion.token_ids, self._bytes)),
                verdict=verdict,
            )
        )


def rollout_figures(finished: Round) -> dict[str, float]:
    """What generation and judging of a round cost, for the metrics."""
    samples = finished.samples
    tokens = sum(len(sample.completion.token_ids) for sample in samples)
    return {
        "rollout/tokens": float(tokens),
        "rollout/tokens_per_s": tokens / max(finished.rollout_s, 1e-9),
        "rollout/cut_short": fmean(
            sample.completion.finish_reason == "length" for sample in samples
        ),
        "sandbox/program_ms": 1e3 * fmean(sample.verdict.wall_seconds for sample in samples),
        "sandbox/missing_library": fmean(
            sample.verdict.missing_library is not None for sample in samples
        ),
        "sandbox/checker_failed": float(sum(sample.verdict.checker_failed for sample in samples)),
        "sandbox/peak_queue": float(finished.peak_judging),
    }
