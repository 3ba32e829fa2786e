"""Collector: subtasks in, judged samples out. Generation and judging overlap, sample by sample."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.fleet import RolloutFleet
from actors.rollout.ledger import GENERATED, JUDGED, Ledger
from actors.rollout.samples import Completion, Request, Sample
from actors.sandboxes.pool import SandboxPool
from curriculum.config import PromptConfig
from curriculum.program import assemble
from curriculum.prompt import Prompt, PromptEncoder
from curriculum.subtask import Subtask
from learner.tokenizer import completion_text, text_lengths, token_bytes
from sandbox import Job, Limits


@dataclass(frozen=True)
class Collected:
    """The samples of one round and where its time went."""

    samples: tuple[Sample, ...]
    """In the order of their ids."""
    rollout_s: float
    """To the last completion, from the request or from the last completion of the round before,
    whichever was later: what generation adds to the run [seconds]."""
    sandbox_s: float
    """From the last completion to the last verdict: what judging adds to the round [seconds]."""
    peak_judging: int
    """Completions waiting for their verdict, at most."""


class Collector:
    """Asks the fleet and has each completion judged as soon as it ends."""

    def __init__(
        self,
        fleet: RolloutFleet,
        pool: SandboxPool,
        tokenizer: Any,
        config: RolloutConfig,
        limits: Limits,
        seed: int,
        prompt: PromptConfig | None = None,
    ) -> None:
        self.fleet = fleet
        self.pool = pool
        self.config = config
        self.limits = limits
        self.seed = seed
        self._written = 0.0
        self._bytes = token_bytes(tokenizer)
        self._encoder = PromptEncoder(tokenizer, self._bytes, prompt or PromptConfig())

    async def collect(
        self,
        subtasks: Sequence[Subtask],
        samples_each: int,
        first_id: int,
        deadline_s: float,
        ledger: Ledger | None = None,
    ) -> Collected:
        """Generate `samples_each` completions of every subtask and judge them all.

        Sample ids run from `first_id`; each seeds its own sampling, so that a resumed run asks
        for the same random streams. `ledger` is told of each sample that is generated or judged.

        Raises:
            TimeoutError: the round took longer than `deadline_s`; says how far it came.
            RunFailed: a prompt leaves no room for its completion within the context.
        """
        ids = itertools.count(first_id)
        asked: dict[int, tuple[Subtask, Prompt, Request]] = {}
        for subtask in subtasks:
            prompt = self._encoder.encode(subtask)
            for _ in range(samples_each):
                request = self._request(next(ids), prompt.ids, subtask)
                asked[request.sample_id] = (subtask, prompt, request)
        completions = peak = 0
        started = last = time.monotonic()
        judging: list[asyncio.Task[Sample]] = []
        unjudged: set[asyncio.Task[Sample]] = set()
        try:
            async with asyncio.timeout(deadline_s):
                requests = [request for _, _, request in asked.values()]
                async for completion in self.fleet.generate(requests):
                    completions += 1
                    last = time.monotonic()
                    work = self._judge(*asked[completion.sample_id], completion, ledger)
                    task = asyncio.create_task(work)
                    judging.append(task)
                    unjudged.add(task)
                    task.add_done_callback(unjudged.discard)
                    peak = max(peak, len(unjudged))
                samples = await asyncio.gather(*judging)
        except TimeoutError as error:
            judged = sum(task.done() and not task.cancelled() for task in judging)
            raise TimeoutError(
                f"{len(asked)} samples asked, {completions} generated, {judged} judged within "
                f"{deadline_s:g} s{': ' if str(error) else ''}{error}"
            ) from None
        finally:
            for task in judging:
                task.cancel()
        samples.sort(key=lambda sample: sample.sample_id)
        if started < self._written < last:  # it waited for a round that was asked before
            started = self._written
        self._written = max(self._written, last)
        return Collected(tuple(samples), last - started, time.monotonic() - last, peak)

    def _request(self, sample_id: int, prompt: tuple[int, ...], subtask: Subtask) -> Request:
        room = self.config.max_model_len - len(prompt)
        if room < 1:
            raise RunFailed(
                f"problem {subtask.problem.id}: its prompt has {len(prompt)} tokens, and "
                f"rollout.max_model_len is {self.config.max_model_len}: raise it or leave it out"
            )
        return Request(
            sample_id=sample_id,
            prompt_ids=prompt,
            seed=(self.seed << 32) + sample_id,
            max_tokens=min(self.config.max_new_tokens, room),
            temperature=self.config.temperature,
        )

    async def _judge(
        self,
        subtask: Subtask,
        prompt: Prompt,
        request: Request,
        completion: Completion,
        ledger: Ledger | None,
    ) -> Sample:
        if ledger is not None:
            ledger.reached(request.sample_id, GENERATED)
        ids = completion.token_ids
        text = completion_text(ids, self._bytes)
        problem = subtask.problem
        program = assemble(problem, prompt, text)
        job = Job.for_program(problem, program.source, self.limits, id=f"{request.sample_id}")
        verdict = await self.pool.run(job)
        if ledger is not None:
            ledger.reached(request.sample_id, JUDGED)
        return Sample(
            sample_id=request.sample_id,
            subtask=subtask,
            prompt=prompt,
            completion=completion,
            program=program,
            text=text,
            token_lengths=tuple(text_lengths(ids, self._bytes)),
            verdict=verdict,
        )


def rollout_figures(collected: Collected) -> dict[str, float]:
    """What generation and judging of a round cost, for the metrics."""
    tokens = sum(len(sample.completion.token_ids) for sample in collected.samples)
    verdicts = [sample.verdict for sample in collected.samples]
    return {
        "rollout/tokens": float(tokens),
        "rollout/tokens_per_s": tokens / max(collected.rollout_s, 1e-9),
        "rollout/cut_short": fmean(
            sample.completion.finish_reason == "length" for sample in collected.samples
        ),
        "sandbox/program_ms": 1e3 * fmean(verdict.wall_seconds for verdict in verdicts),
        "sandbox/peak_queue": float(collected.peak_judging),
    }
