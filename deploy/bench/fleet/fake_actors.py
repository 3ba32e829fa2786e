"""Stand-ins for fleet, sandbox pool and learner that take a set time.

The benchmark of the training loop runs on them, since all other time is the loop's own; so do the
tests of what the loop does when a part fails.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from actors.collectors.collector import Collector, Reading
from actors.collectors.group import CollectorGroup
from actors.collectors.handle import CollectorHandle
from actors.config import LoopConfig, RolloutConfig
from actors.errors import ActorLost
from actors.recording.rollout_log import RolloutLog, Writer
from actors.recording.writer import ThisProcess
from actors.rewards.scorer import Scorer
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Completion, Request
from actors.rollout.supervisor import Supervisor
from actors.runs.folder import RunFolder
from actors.runs.metrics import MetricsLog
from actors.sandboxes.pool import Loss, SandboxPool
from actors.training.evaluate import HELDOUT
from actors.training.trainer import Trainer
from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.make import make_schedule
from curriculum.synthetic.problems import synthetic_problems
from learner.algorithm.token_values import TokenValues, pack_values
from learner.config import RewardConfig
from learner.tokenizer import train_tokenizer
from learner.trajectory import PackedGroup, unpack
from sandbox import Job, Limits, Outcome, Statement, Verdict

COMPLETION_TOKENS = 100


@dataclass
class SteadyFleet:
    """Generates one round after the other in `seconds` each, its completions evenly spread."""

    seconds: float
    restarts: int = 0
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        engine = EngineHandle("rollout-0", None, loaded=True)
        self.engines = (engine,)
        self.supervisor = Supervisor([engine], RolloutConfig(), colocated=False)

    @property
    def version(self) -> int:
        """Version of the weights."""
        return self.supervisor.version

    async def sleep(self) -> None:
        """Do nothing: no GPU is shared with the learner."""

    async def generate(
        self, groups: Sequence[Sequence[Request]], _attempts: Counter[int] | None = None
    ) -> AsyncIterator[Completion]:
        """Yield a completion of fixed length for each request."""
        requests = [request for group in groups for request in group]
        async with self._busy:
            started, version = time.monotonic(), self.version
            for i, request in enumerate(requests):
                due = started + self.seconds * (i + 1) / len(requests)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                yield steady_completion(request, version)


def steady_completion(request: Request, version: int) -> Completion:
    """A completion of fixed length."""
    ids = tuple(5 + (request.sample_id + k) % 90 for k in range(COMPLETION_TOKENS))
    return Completion(request.sample_id, ids, (-0.5,) * len(ids), "stop", version)


class SteadyPool:
    """Judges without delay; every second program passes."""

    def __init__(self) -> None:
        self.lost: set[Loss] = set()

    @property
    def losses(self) -> int:
        """No worker is ever lost."""
        return len(self.lost)

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
    reads: bool = True
    """Whether it looks at what it learns from: a learner does so in processes of its own."""
    updates: int = 0
    trained: list[list[int]] = field(default_factory=list)
    """Sample ids by update."""
    cpu_s: list[float] = field(default_factory=list)
    """Processor time of this process at the start of each update [seconds]."""
    lose_at: list[int] = field(default_factory=list)
    """Updates at which it is lost, once each."""
    restarts: int = 0
    saved: tuple[Path, int] = (Path(), 0)
    """Folder and content of the checkpoint that was begun last."""

    async def update(
        self, packed: Sequence[PackedGroup], record: Collection[int] = ()
    ) -> tuple[dict[str, float], bytes]:
        """Count the update."""
        self.cpu_s.append(time.process_time())
        await asyncio.sleep(self.seconds)
        if self.updates in self.lose_at:
            self.lose_at.remove(self.updates)
            raise ActorLost("learner: update: the actor died")
        self.updates += 1
        members = [t for each in packed for t in unpack(each).trajectories] if self.reads else []
        self.trained.append([t.sample_id for t in members])
        values = {
            t.sample_id: _steady_values(len(t.response_ids))
            for t in members
            if t.sample_id in record
        }
        return {"masked_share": 0.5, "kl": 0.0}, pack_values(values)

    async def restart(self) -> None:
        """Forget everything."""
        self.restarts += 1
        self.updates = 0

    async def begin_checkpoint(
        self, folder: Path, _policy: Path | None, _background: bool = True
    ) -> None:
        """Keep the state that is to be written; there is no policy."""
        self.saved = (folder, self.updates)

    async def checkpoint_written(self) -> None:
        """Write it."""
        await asyncio.to_thread(self._write, *self.saved)

    async def save_pretrained(self, folder: Path) -> None:
        """There is no policy."""

    async def load_checkpoint(self, folder: Path) -> None:
        """Read the state."""
        self.updates = await asyncio.to_thread(self._read, folder)

    def _write(self, folder: Path, updates: int) -> None:
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps(updates))

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

    async def push(self, fleet: SteadyFleet | RolloutFleet, version: int) -> None:
        """Set the version."""
        fleet.supervisor.expect(version)
        for engine in fleet.engines:
            fleet.supervisor.mark_current(engine, version)


class NoParityCheck:
    """There are no weights to compare."""

    def wake_up_is_new(self) -> bool:
        """No engine sleeps."""
        return False

    async def verify(self, _version: int) -> float:
        """Nothing to do."""
        return 0.0


def local_collectors(
    fleet: Any, pool: Any, tokenizer: Any, config: RolloutConfig, reading: Reading, seed: int
) -> CollectorGroup:
    """One collector, in this process, over a stand-in that generates."""
    client = Collector(fleet, pool, tokenizer, config, reading)
    handle = CollectorHandle("collector-0", client, tuple(fleet.engines), loaded=True)
    return CollectorGroup([handle], fleet, pool, config, seed)


def steady_trainer(
    folder: Path, loop: LoopConfig, samples_per_prompt: int, generate_s: float, learn_s: float
) -> Trainer:
    """A real Trainer, schedule, collector, ledger and metrics log around the stand-ins.

    The collector is one of this process.
    """
    fleet: Any = SteadyFleet(generate_s)
    pool: Any = SteadyPool()
    config = RolloutConfig(max_model_len=4096, max_new_tokens=COMPLETION_TOKENS)
    tokenizer = bench_tokenizer(loop)
    collectors = local_collectors(fleet, pool, tokenizer, config, Reading(Limits()), seed=1)
    learner = SteadyLearner(learn_s)
    return trainer_over(folder, loop, samples_per_prompt, learner, fleet, pool, collectors)


def trainer_over(
    folder: Path,
    loop: LoopConfig,
    samples_per_prompt: int,
    learner: SteadyLearner,
    fleet: RolloutFleet,
    pool: SandboxPool,
    collectors: CollectorGroup,
    writer: Callable[[Path], Writer] = ThisProcess,
) -> Trainer:
    """A real Trainer, schedule, ledger, metrics and rollout log over these parts."""
    problems = _problems(loop)
    heldout = synthetic_problems(seed=5, per_tier=1)
    made = RunFolder(folder)
    made.clear()
    stand_ins: dict[str, Any] = {
        "learner": learner,
        "sync": SteadySync(),
        "parity": NoParityCheck(),
    }
    return Trainer(
        loop=loop,
        scorer=Scorer(RewardConfig(), COMPLETION_TOKENS),
        samples_per_prompt=samples_per_prompt,
        schedule=make_schedule(problems, CurriculumConfig(), seed=1),
        suites={HELDOUT: heldout},
        collectors=collectors,
        fleet=fleet,
        pool=pool,
        folder=made,
        log=MetricsLog(made, folder.name),
        rollouts=RolloutLog(writer(made.rollouts), loop.recorded_groups, loop.step_timeout_s),
        **stand_ins,
    )


def bench_tokenizer(loop: LoopConfig) -> Any:
    """A tokenizer for the problems that a bench's loop asks."""
    return train_tokenizer((f"{p.question}\n{p.solution}" for p in _problems(loop)), 400)


def _problems(loop: LoopConfig) -> list[Problem]:
    return synthetic_problems(seed=4, per_tier=max(4, loop.prompts_per_step))
