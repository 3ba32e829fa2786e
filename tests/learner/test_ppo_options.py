"""Options that change the steps of an update rather than a formula."""

from pathlib import Path

import pytest
import torch

from learner.errors import ModelError
from learner.models.compiling import compile_blocks
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


def test_learning_rates_follow_the_schedule_from_each_models_first_update(model_dir: Path) -> None:
    schedule = {"kind": "linear", "warmup_updates": 2, "updates": 5}
    learner = new_learner(model_dir, lr_schedule=schedule, critic_warmup_steps=1, epochs=1)
    rates = [learner.update(grouped(random_trajectories(seed))) for seed in range(1, 7)]
    policy = [1e3 * update["policy_lr"] for update in rates]
    critic = [1e3 * update["critic_lr"] for update in rates]
    assert policy == pytest.approx([0, 0.5, 1, 1, 0.5, 0])
    assert critic == pytest.approx([0.5, 1, 1, 2 / 3, 1 / 3, 0])


def test_a_decay_without_an_end_is_refused(model_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"kind cosine needs lr_schedule\.updates"):
        new_learner(model_dir, lr_schedule={"kind": "cosine"})


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


# PyTorch makes one while it traces the linear layers of DeepSpeed, which a model of stage 3 leaves
# behind in its process.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_compiled_learner_learns_the_same(model_dir: Path) -> None:
    """One update, entropy bonus and recomputation included."""
    settings = {
        "dtype": "bfloat16", "advantage": "reinforce++", "entropy_coefficient": 0.01,
        "gradient_checkpointing": True,
    }  # fmt: skip
    plain, compiled = (new_learner(model_dir, compile=flag, **settings) for flag in (False, True))
    batch = grouped(random_trajectories(1))
    expected, metrics = plain.update(batch), compiled.update(batch)
    assert metrics["ratio_max_deviation_first_minibatch"] == 0.0
    names = [name for name in expected if "seconds" not in name and "share" not in name]
    assert {name: metrics[name] for name in names} == pytest.approx(
        {name: expected[name] for name in names}, rel=0.02, abs=0.02
    )


def test_compiling_is_refused_where_the_weights_of_a_block_are_not_whole(model_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"compile needs zero\.stage 0 to 2"):
        new_learner(model_dir, compile=True, zero={"stage": 3})


def test_a_model_without_marked_blocks_is_not_compiled() -> None:
    with pytest.raises(ModelError, match=r"Linear has no blocks .* set learner.compile false"):
        compile_blocks(torch.nn.Linear(2, 2))
