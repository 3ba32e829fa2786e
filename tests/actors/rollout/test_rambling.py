"""A right function that is followed by anything until the limit is not rewarded for its rambling.

The gradient is measured at the log-probabilities of the tokens behind the function. Fleet and pool
are stand-ins; reader, mask, advantages and loss are real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import torch

from actors.collectors.collector import Reading
from actors.config import RolloutConfig
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.samples import Completion, Request, trajectory_group
from actors.rollout.supervisor import Supervisor
from curriculum import FULL_TASK, CurriculumConfig, cut, synthetic_problems
from deploy.bench.fleet.fake_actors import local_collectors
from learner.algorithm.experience import Scores, make_experience, make_masks
from learner.algorithm.objective import Tokens, policy_objective, step_scales
from learner.config import LearnerConfig
from learner.reward import Reward
from learner.tokenizer import train_tokenizer
from sandbox import Job, Limits, Outcome, Statement, Verdict

PROBLEM = synthetic_problems(seed=4, per_tier=1)[2]
PRINTS = "\n" + "print(f(1, 2))\n" * 12 + "print(f(3"
"""Calls that the reader cuts away, and one that the limit breaks off."""
DEFINITIONS = "\n" + "".join(f"def g{n}(a):\n    return a + {n}\n\n" for n in range(8))
"""Code that the reader keeps, because the function might need it."""

CPU = torch.device("cpu")


class RamblingFleet:
    """The first sample is right and rambles to its limit; the others are wrong and end."""

    def __init__(self, tokenizer: Any, rambling: str) -> None:
        self.tokenizer, self.rambling = tokenizer, rambling
        engine = EngineHandle("rollout-0", None, loaded=True)
        self.engines = (engine,)
        self.supervisor = Supervisor([engine], RolloutConfig(), colocated=False)

    async def generate(
        self, groups: Sequence[Sequence[Request]], _attempts: Any
    ) -> AsyncIterator[Completion]:
        for request in groups[0]:
            right = request.sample_id == 0
            text = PROBLEM.solution + self.rambling if right else "def f(a):\n    return None"
            end = () if right else (self.tokenizer.eos_token_id,)
            ids = (*self.tokenizer.encode(text), *end)
            reason = "length" if right else "stop"
            yield Completion(request.sample_id, ids, (-0.5,) * len(ids), reason, 1)


class ExecutingPool:
    """Sample 0 passes, the others fail; every statement is executed."""

    lost: set[Any] = set()  # noqa: RUF012

    async def run(self, job: Job) -> Verdict:
        outcome = Outcome.passed if job.id == "0" else Outcome.failed
        whole = (Statement(0, len(job.source.encode()), True),)
        return Verdict(job.id, outcome, tests=(), statements=whole)


def gradient(rambling: str, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of the loss at the right sample's tokens: of its function, and of what follows.

    Negative means that the step makes a token more likely.
    """
    tokenizer: Any = train_tokenizer([PROBLEM.question, PROBLEM.solution, PRINTS, DEFINITIONS], 400)
    fleet: Any = RamblingFleet(tokenizer, rambling)
    pool: Any = ExecutingPool()
    config = RolloutConfig(max_model_len=4096, max_new_tokens=2000)
    made_by = local_collectors(fleet, pool, tokenizer, config, Reading(Limits()), seed=0)
    subtask = cut(PROBLEM, FULL_TASK, CurriculumConfig().cut_kinds)
    finished = asyncio.run(made_by.collect([subtask], 4, 0, deadline_s=20, details=[0]))
    group = finished.groups[0].detail
    assert group is not None
    rewards = {s.sample_id: Reward(1.0 if s.sample_id == 0 else -0.3) for s in group.samples}
    made = trajectory_group(group, rewards)
    assert made is not None
    batch = made.trajectories
    assert [t.finish_reason for t in batch] == ["length", "stop", "stop", "stop"]

    learner = LearnerConfig(kl_coefficient=0.0, max_response_tokens=2000, **settings)
    masks = make_masks(batch, learner, 0, CPU)
    table = torch.full(masks.response.shape, -0.5)
    scores = Scores(table, None, table.abs(), None, table)
    experience = make_experience(batch, torch.zeros(4, dtype=torch.long), masks, scores, learner)
    rows = torch.arange(4)
    scales = step_scales(masks, rows, 1, learner)
    logprobs = table[masks.response].requires_grad_()
    tokens = Tokens(rows, masks.response)
    loss, _ = policy_objective(logprobs, None, tokens, experience, learner, scales)
    loss.backward()
    assert logprobs.grad is not None
    first = group.samples[0]
    starts = torch.tensor([0, *first.token_lengths[:-1]]).cumsum(0)
    behind = starts > len(PROBLEM.solution.encode())  # the newline is the function's
    of_first = logprobs.grad[: len(starts)]
    return of_first[~behind], of_first[behind]


ADVANTAGES = ("grpo", "dr_grpo", "rloo", "reinforce++")
LOSSES = ({}, {"loss": "gspo", "normalisation": "sequence"}, {"loss": "cispo"})


@pytest.mark.parametrize("rambling", [PRINTS, DEFINITIONS], ids=["cut away", "kept"])
@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_by_default_rambling_does_not_become_more_likely(advantage: str, rambling: str) -> None:
    for loss in LOSSES:
        _, behind = gradient(rambling, advantage=advantage, **loss)
        assert len(behind) > 20
        assert (behind >= 0).all()


@pytest.mark.parametrize("truncated", ["learn", "penalise"])
def test_text_cut_away_is_not_rewarded_and_the_right_function_is(truncated: str) -> None:
    settings = {"advantage": "rloo", "truncated": truncated, "overlong_penalty": 0.5}
    function, behind = gradient(PRINTS, **settings)
    assert (behind >= 0).all()
    assert (function < 0).all()


def test_the_measurement_would_show_rewarded_rambling() -> None:
    """Cut text that is learned, and kept text of responses that are learned as any other."""
    for rambling, settings in (
        (PRINTS, {"truncated": "learn", "cut_away": "learn"}),
        (DEFINITIONS, {"truncated": "learn"}),
    ):
        _, behind = gradient(rambling, advantage="rloo", **settings)
        assert (behind < 0).all()


def test_a_full_penalty_makes_a_rambling_answer_no_better_than_a_wrong_one() -> None:
    """With kept text the whole response shares one advantage, which the penalty decides."""
    settings = {"advantage": "rloo", "truncated": "penalise", "overlong_penalty": 2.0}
    _, behind = gradient(DEFINITIONS, **settings)
    assert (behind > 0).all()
