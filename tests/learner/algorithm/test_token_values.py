"""Values of single tokens: they are those of the experience, and each masked token has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from learner.algorithm.experience import REASONS, make_experience, make_masks
from learner.algorithm.token_values import token_values
from learner.config import LearnerConfig
from tests.learner.algorithm.test_experience import BATCH, CPU, GROUPS, scores
from tests.learner.runs import VARIANTS, batch, grouped, new_learner, settings
from tests.learner.samples import with_endings

OPTIONS = {
    "paper": {},
    "random": {"mask": "random"},
    "whole responses": {"mask": "none", "truncated": "penalise", "max_response_tokens": 17},
    "only the critic": {"mask_covers": ("value",), "cut_away": "learn", "truncated": "learn"},
}


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_token_has_a_reason_exactly_if_it_is_not_in_the_policy_loss(changes: dict) -> None:
    config = LearnerConfig.model_validate(changes)
    trajectories = with_endings(BATCH)
    masks = make_masks(trajectories, config, 4, CPU)
    experience = make_experience(trajectories, GROUPS, masks, scores(), config)
    ids = [t.sample_id for t in trajectories]
    values = token_values(trajectories, experience, config, 4, [*ids[:7], 10**9])
    assert list(values) == ids[:7]
    for row, trajectory in enumerate(trajectories[:7]):
        of = values[trajectory.sample_id]
        assert [not reason for reason in of.left_out] == list(of.in_policy_loss)
        assert set(of.left_out) <= {"", *REASONS}
        length = len(trajectory.response_ids)
        assert torch.equal(torch.tensor(of.advantages), experience.advantages[row, :length])
        assert len(of.logprobs) == len(of.in_kl_penalty) == length


def test_the_parts_of_a_reward_add_up_to_what_the_learner_gives() -> None:
    config = LearnerConfig(
        advantage="rloo", truncated="penalise", max_response_tokens=17, kl_coefficient=0.2
    )
    trajectories = with_endings(BATCH)
    masks = make_masks(trajectories, config, 0, CPU)
    experience = make_experience(trajectories, GROUPS, masks, scores(critic=False), config)
    values = token_values(trajectories, experience, config, 0, range(10**4))
    totals = [sum(values[t.sample_id].reward_parts.values()) for t in trajectories]
    rows = [row for row in range(len(totals)) if GROUPS[row] == 0]
    for row in rows:
        others = [totals[other] for other in rows if other != row]
        expected = totals[row] - sum(others) / len(others)
        tokens = len(trajectories[row].response_ids)
        if tokens:
            assert float(experience.advantages[row, 0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.integration
@pytest.mark.parametrize("variant", ["ppo", "every option of the loss"])
def test_recording_changes_no_metric_and_no_weight(model_dir: Path, variant: str) -> None:
    outcomes = []
    for record in ((), range(1000)):
        learner = new_learner(model_dir, **settings(**VARIANTS[variant]))
        metrics = [learner.update(grouped(batch(seed)), record=record) for seed in (1, 2)]
        clock = ("seconds",)
        outcomes.append(
            (
                [{k: v for k, v in m.items() if not k.startswith(clock)} for m in metrics],
                {name: weight.clone() for name, weight in learner.named_weights()},
            )
        )
        assert len(learner.recorded) == (10 if record else 0)
    assert outcomes[0][0] == outcomes[1][0]
    assert all(torch.equal(weight, outcomes[1][1][name]) for name, weight in outcomes[0][1].items())
