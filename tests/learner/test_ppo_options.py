"""Options that change the steps of an update rather than a formula."""

from pathlib import Path

import pytest
import torch

from learner.errors import ModelError
from tests.learner.ranks import weights
from tests.learner.runs import new_learner, same
from tests.learner.samples import grouped, random_trajectories

pytestmark = pytest.mark.integration


def test_the_policy_stops_at_the_kl_limit_and_the_critic_continues(model_dir: Path) -> None:
    batch = random_trajectories(1)
    free = new_learner(model_dir, epochs=3).update(grouped(batch))
    assert free["policy_steps"] == free["optimizer_steps"] == 9
    limit = free["kl_to_old"] / 3
    stopped = new_learner(model_dir, epochs=3, kl_stop=limit).update(grouped(batch))
    assert 1 < stopped["policy_steps"] < 9
    assert stopped["optimizer_steps"] == 9, "the critic goes on"
    alone = new_learner(model_dir, epochs=3, kl_stop=limit, advantage="reinforce++")
    metrics = alone.update(grouped(batch))
    assert metrics["policy_steps"] == metrics["optimizer_steps"] < 9


@pytest.mark.parametrize("advantage", ["grpo", "rloo", "reinforce++"])
def test_only_gae_creates_a_critic(advantage: str, model_dir: Path, tmp_path: Path) -> None:
    settings = {"advantage": advantage, "critic_warmup_steps": 5, "kl_coefficient": 0.0}
    learner = new_learner(model_dir, **settings)
    before = weights(learner)
    metrics = learner.update(grouped(random_trajectories(1, prompts=4)))
    assert before["critic"] == {}
    assert not same(before["policy"], weights(learner)["policy"])
    assert not any("critic_grad" in name or "value" in name for name in metrics)
    learner.save_checkpoint(tmp_path)
    assert not (tmp_path / "critic").exists()
    again = new_learner(model_dir, **settings)
    again.load_checkpoint(tmp_path)
    assert same(weights(again)["policy"], weights(learner)["policy"])


def test_the_entropy_bonus_raises_the_entropy(model_dir: Path) -> None:
    actual = {}
    for coefficient in (0.0, 1.0):
        learner = new_learner(model_dir, entropy_coefficient=coefficient, advantage="reinforce++")
        for _ in range(2):
            actual[coefficient] = learner.update(grouped(random_trajectories(1)))["entropy"]
    assert actual[1.0] > actual[0.0] + 0.01


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_bfloat16_keeps_float32_master_weights(stage: int, model_dir: Path) -> None:
    """Steps far below bfloat16's resolution add up; the first ratios are exactly 1 all the same."""
    slow = {"lr": 1e-4}
    learner = new_learner(
        model_dir, dtype="bfloat16", zero={"stage": stage}, policy=slow, critic=slow, epochs=3
    )
    before = weights(learner)["policy"]
    assert {weight.dtype for weight in before.values()} == {torch.bfloat16}
    for seed in (1, 2):
        metrics = learner.update(grouped(random_trajectories(seed)))
        assert metrics["ratio_max_deviation_first_minibatch"] == 0.0
    after = weights(learner)["policy"]
    moved = sum(int((before[name] != after[name]).sum()) for name in after)
    assert moved > 0


def test_bfloat16_without_master_weights_is_refused(model_dir: Path) -> None:
    with pytest.raises(ModelError, match="stage 0 is for float32 only"):
        new_learner(model_dir, dtype="bfloat16", zero={"stage": 0})
