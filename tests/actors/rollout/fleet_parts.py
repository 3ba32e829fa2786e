"""A real learner with its real fleet, for the tests of this folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from actors.config import PlacementConfig, RolloutConfig, WeightsConfig
from actors.learners.group import LearnerGroup
from actors.rollout.dispatcher import Dispatcher
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Completion, Request
from actors.training.weight_parity import WeightParityCheck
from actors.training.weight_sync import WeightSync
from learner.config import CriticOptimizerConfig, LearnerConfig, OptimizerConfig
from learner.models.source import ModelSource
from learner.trajectory import PackedGroup, Trajectory, TrajectoryGroup, pack

DEADLINE_S = 180.0
LEARNING = LearnerConfig(
    policy=OptimizerConfig(lr=1e-2),
    critic=CriticOptimizerConfig(lr=1e-3),
    minibatch_size=8,
    truncated="learn",  # a random policy seldom ends by itself
)


@dataclass
class Parts:
    """One learner rank and some engines, on one event loop."""

    learner: LearnerGroup
    fleet: RolloutFleet
    sync: WeightSync
    parity: WeightParityCheck
    prompts: list[tuple[int, ...]]
    loop: asyncio.Runner
    tokenizer: Any

    def run(self, work: Any) -> Any:
        """Run a coroutine on the loop that the fleet belongs to."""
        return self.loop.run(work)

    def requests(self, samples: int, first: int = 0, max_tokens: int = 24) -> list[Request]:
        """`samples` requests over all prompts, seeded by their ids."""
        return [
            Request(i, self.prompts[i % len(self.prompts)], 100 + i, max_tokens, 1.0)
            for i in range(first, first + samples)
        ]

    async def collect(self, requests: list[Request]) -> list[Completion]:
        """All completions, by id."""
        completions = [done async for done in self.dispatcher.generate(by_prompt(requests))]
        return sorted(completions, key=lambda c: c.sample_id)

    def groups(self, requests: list[Request], completions: list[Completion]) -> list[PackedGroup]:
        """The completions by prompt, with rewards that alternate, packed."""
        prompts = {request.sample_id: request.prompt_ids for request in requests}
        by_prompt: dict[tuple[int, ...], list[Trajectory]] = {}
        for c in completions:
            trajectory = Trajectory(
                sample_id=c.sample_id,
                problem_id="p",
                stage=0,
                prompt_ids=prompts[c.sample_id],
                response_ids=c.token_ids,
                rollout_logprobs=c.logprobs,
                executed_mask=(True,) * len(c.token_ids),
                reward=1.0 if c.sample_id % 2 else -1.0,
                weight_version=c.weight_version,
                outcome="passed",
                finish_reason=c.finish_reason,
                cut_mask=(False,) * len(c.token_ids),
            )
            by_prompt.setdefault(trajectory.prompt_ids, []).append(trajectory)
        return [pack(TrajectoryGroup(tuple(group))) for group in by_prompt.values()]

    async def push(self) -> int:
        """Broadcast the learner's weights under the next version; returns it."""
        await self.sync.push(self.fleet, self.fleet.version + 1)
        return self.fleet.version

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Has the engines generate, as a collector's would."""
        return Dispatcher(self.fleet.supervisor, self.fleet.config)

    def stop(self) -> None:
        """End every actor and the loop."""
        self.run(self.fleet.stop())
        self.run(self.learner.stop())
        self.loop.close()


def by_prompt(requests: list[Request]) -> list[list[Request]]:
    """The requests of each prompt."""
    groups: dict[tuple[int, ...], list[Request]] = {}
    for request in requests:
        groups.setdefault(request.prompt_ids, []).append(request)
    return list(groups.values())


def start(
    model: Path,
    name: str,
    workers: int,
    ranks: int = 1,
    learning: LearnerConfig = LEARNING,
    **rollout: Any,
) -> Parts:
    """Load a learner and `workers` engines from `model`; `name` keeps their names in Ray apart."""
    settings = {"max_new_tokens": 24, "max_num_seqs": 32, "kv_cache_mib": 32, **rollout}
    config = RolloutConfig(workers=workers, **settings)
    placement = PlacementConfig(learner_ranks=ranks)

    def options(_index: int) -> dict[str, Any]:
        return {"namespace": name}

    learner = LearnerGroup.create(learning, placement, False, DEADLINE_S, options)
    sync = WeightSync(learner, WeightsConfig(timeout_s=60), "gloo")
    fleet = RolloutFleet.create(config, False, options, on_engine_loaded=sync.update_engine)
    loop = asyncio.Runner()

    async def load() -> None:
        source = ModelSource(str(model))
        await asyncio.gather(
            fleet.start(source, "gloo"), learner.start(source, 1.0, model.parent / "faults")
        )

    loop.run(load())
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [f"# each: cap {k}; flip negative\ndef f(a):\n    t = {k}" for k in range(2, 8)]
    sequences = [tokenizer.encode(text) for text in texts]
    parity = WeightParityCheck(
        learner, fleet, sequences, tolerance=None, exact=True, deadline_s=DEADLINE_S
    )
    return Parts(learner, fleet, sync, parity, [tuple(ids) for ids in sequences], loop, tokenizer)
