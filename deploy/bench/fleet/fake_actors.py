"""Stand-ins for fleet, sandbox pool and learner that take a set time.

The benchmark of the training loop runs on them, since all other time is the loop's own; so do the
tests of what the loop does when a part fails.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from actors.config import LoopConfig, RolloutConfig
from actors.errors import ActorLost
from actors.rewards.scorer import Scorer
from actors.rollout.collector import Collector
from actors.rollout.samples import Completion, Request
from actors.runs.folder import RunFolder
from actors.runs.metrics import MetricsLog
from actors.training.evaluate import HELDOUT
from actors.training.trainer import Trainer
from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.synthetic.problems import synthetic_problems
from learner.algorithm.token_values import TokenValues
from learner.config import RewardConfig
from learner.tokenizer import train_tokenizer
from learner.trajectory import TrajectoryGroup
from sandbox import Job, Limits, Outcome, Statement, Verdict

COMPLETION_TOKENS = 100


@dataclass
class SteadyFleet:
    """Generates one round after the other in `seconds` each, its completions evenly spread."""

    seconds: float
    version: int = 0
    restarts: int = 0
    outstanding: int = 0
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def sleep(self) -> None:
        """Do nothing: no GPU is shared with the learner."""

    async def generate(self, groups: Sequence[Sequence[Request]]) -> AsyncIterator[Completion]:
        """Yield a completion of fixed length for each request."""
        requests = [request for group in groups for request in group]
        async with self._busy:
            started, version = time.monotonic(), self.version
            for i, request in enumerate(requests):
                due = started + self.seconds * (i + 1) / len(requests)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                ids = tuple(5 + (request.sample_id + k) % 90 for k in range(COMPLETION_TOKENS))
                logprobs = (-0.5,) * len(ids)
                yield Completion(request.sample_id, ids, logprobs, "stop", version)


class SteadyPool:
    """Judges without delay; every second program passes."""

    losses = 0

    async def run(self, job: Job) -> Verdict:
        """A verdict with half of the program executed."""
        size = len(job.source.encode())
        statements = (Statement(0, size // 2, True), Statement(size // 2, size, False))
        outcome = Outcome.passed if int(job.id) % 2 else Outcome.failed
        return Verdict(job.id, outcome, tests=(), statements=statements)


@dataclass
class SteadyLearner:
    """Takes `seconds` for an update; its state is the number of updates."""

    seconds: float
    updates: int = 0
    trained: list[list[int]] = field(default_factory=list)
    """Sample ids by update."""
    lose_at: list[int] = field(default_factory=list)
    """Updates at which it is lost, once each."""
    restarts: int = 0

    async def update(
        self, groups: Sequence[TrajectoryGroup], record: Collection[int] = ()
    ) -> tuple[dict[str, float], dict[int, TokenValues]]:
        """Count the update."""
        await asyncio.sleep(self.seconds)
        if self.updates in self.lose_at:
            self.lose_at.remove(self.updates)
            raise ActorLost("learner: update: the actor died")
        self.updates += 1
        self.trained.append([t.sample_id for group in groups for t in group.trajectories])
        values = {
            t.sample_id: _steady_values(len(t.response_ids))
            for group in groups
            for t in group.trajectories
            if t.sample_id in record
        }
        return {"masked_share": 0.5, "kl": 0.0}, values

    async def restart(self) -> None:
        """Forget everything."""
        self.restarts += 1
        self.updates = 0

    async def save_checkpoint(self, folder: Path) -> None:
        """Write the state."""
        await asyncio.to_thread(self._write, folder)

    async def save_pretrained(self, folder: Path) -> None:
        """There is no policy."""

    async def load_checkpoint(self, folder: Path) -> None:
        """Read the state."""
        self.updates = await asyncio.to_thread(self._read, folder)

    def _write(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps(self.updates))

    def _read(self, folder: Path) -> int:
        return json.loads((folder / "state.json").read_text())


def _steady_values(tokens: int) -> TokenValues:
    numbers = np.full(tokens, -0.5, dtype=np.float32)
    return TokenValues(
        logprobs=numbers,
        reference_logprobs=numbers,
        entropies=-numbers,
        values=None,
        returns=None,
        advantages=-numbers,
        weights=None,
        in_policy_loss=(True,) * tokens,
        in_value_loss=(True,) * tokens,
        in_kl_penalty=(True,) * tokens,
        left_out=("",) * tokens,
        reward_parts={"outcome": 1.0},
    )


@dataclass
class SteadySync:
    """Makes a version current at once."""

    bytes: int = 0

    async def push(self, fleet: SteadyFleet, version: int) -> None:
        """Set the version."""
        fleet.version = version


class NoParityCheck:
    """There are no weights to compare."""

    def wake_up_is_new(self) -> bool:
        """No engine sleeps."""
        return False

    async def verify(self, _version: int) -> float:
        """Nothing to do."""
        return 0.0


def steady_trainer(
    folder: Path, loop: LoopConfig, samples_per_prompt: int, generate_s: float, learn_s: float
) -> Trainer:
    """A real Trainer, schedule, collector, ledger and metrics log around the stand-ins."""
    problems = synthetic_problems(seed=4, per_tier=max(4, loop.prompts_per_step))
    heldout = synthetic_problems(seed=5, per_tier=1)
    texts = (f"{p.question}\n{p.solution}" for p in problems)
    fleet = SteadyFleet(generate_s)
    made = RunFolder(folder)
    made.clear()
    config = RolloutConfig(max_model_len=4096, max_new_tokens=COMPLETION_TOKENS)
    actors: dict[str, Any] = {"fleet": fleet, "pool": SteadyPool()}
    tokenizer = train_tokenizer(texts, 400)
    stand_ins: dict[str, Any] = {
        "learner": SteadyLearner(learn_s),
        "sync": SteadySync(),
        "parity": NoParityCheck(),
    }
    return Trainer(
        loop=loop,
        scorer=Scorer(RewardConfig(), COMPLETION_TOKENS),
        samples_per_prompt=samples_per_prompt,
        schedule=make_schedule(problems, CurriculumConfig(), seed=1),
        suites={HELDOUT: heldout},
        collector=Collector(**actors, tokenizer=tokenizer, config=config, limits=Limits(), seed=1),
        folder=made,
        log=MetricsLog(made, folder.name),
        **actors,
        **stand_ins,
    )
