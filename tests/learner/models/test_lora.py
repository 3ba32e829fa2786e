"""Adapters: only they are trained, the reference is the base model, and exports are merged."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from learner.config import LearnerConfig
from learner.errors import ModelError
from learner.ppo import PPOLearner
from tests.learner.ranks import weights
from tests.learner.runs import LORA, assert_same, new_learner, run_here, same
from tests.learner.samples import grouped, random_trajectories

# The first test to use the runs on two ranks waits for all of them.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FAST = {"lr": 3e-2}


@pytest.fixture(params=[1, 2, 3])
def learner(request: pytest.FixtureRequest, model_dir: Path) -> PPOLearner:
    zero = {"stage": request.param, "export_bucket_mib": 0.05}
    return new_learner(model_dir, lora=LORA, policy=FAST, critic=FAST, zero=zero)


def base(model_dir: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(model_dir).state_dict()


def test_only_adapters_and_the_value_head_learn(learner: PPOLearner) -> None:
    for engine, extra in ((learner._policy, set()), (learner._critic, {"value_head"})):
        assert engine is not None
        trained = {n for n, p in engine.module.named_parameters() if p.requires_grad}
        assert trained
        assert {name.split(".")[0] for name in trained if ".lora_" not in name} == extra


def test_the_export_is_the_base_model_until_the_first_update(
    learner: PPOLearner, model_dir: Path
) -> None:
    before = weights(learner)["policy"]
    expected = base(model_dir)
    assert before.keys() == expected.keys()
    assert same(expected, before)
    assert learner.weight_shapes() == [
        (name, weight.dtype, tuple(weight.shape)) for name, weight in before.items()
    ]
    metrics = learner.update(grouped(random_trajectories(1)))
    assert metrics["ratio_max_deviation_first_minibatch"] == 0.0
    assert metrics["kl"] == 0.0, "the reference is the base, which the policy still is"
    after = weights(learner)["policy"]
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    linear = {name for name in after if "_proj" in name}
    assert moved == linear, "every linear layer but the output layer"


def test_the_reference_remains_the_base_model(learner: PPOLearner, model_dir: Path) -> None:
    """The KL that an update reports is that of the merged policy against the first one."""
    batch = random_trajectories(1)
    for _ in range(2):
        learner.update(grouped(batch))
    merged = AutoModelForCausalLM.from_pretrained(model_dir)
    first = AutoModelForCausalLM.from_pretrained(model_dir)
    merged.load_state_dict({name: weight.clone() for name, weight in learner.named_weights()})
    total, tokens = 0.0, 0
    with torch.no_grad():
        for t in batch:
            ids = torch.tensor(t.token_ids)
            logprobs = [
                m(ids[None]).logits[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
                for m in (merged, first)
            ]
            difference = (logprobs[0] - logprobs[1])[len(t.prompt_ids) - 1 :]
            total, tokens = total + float(difference.sum()), tokens + len(difference)
    assert abs(total / tokens) > 1e-4
    assert learner.update(grouped(batch))["kl"] == pytest.approx(total / tokens, rel=1e-3, abs=1e-6)


def test_a_saved_policy_has_the_learners_log_probabilities(
    learner: PPOLearner, tmp_path: Path
) -> None:
    learner.update(grouped(random_trajectories(1)))
    learner.save_pretrained(tmp_path / "policy")
    assert not list((tmp_path / "policy").glob("adapter*"))
    sequence = random_trajectories(2)[1].token_ids
    model, ids = AutoModelForCausalLM.from_pretrained(tmp_path / "policy"), torch.tensor(sequence)
    with torch.no_grad():
        logprobs = model(ids[None]).logits[0, :-1].log_softmax(-1)
    (actual,) = learner.token_logprobs([sequence])
    expected = logprobs.gather(-1, ids[1:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(actual), expected, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_restores_the_adapters(
    learner: PPOLearner, model_dir: Path, tmp_path: Path
) -> None:
    learner.update(grouped(random_trajectories(1)))
    learner.save_checkpoint(tmp_path)
    learner.update(grouped(random_trajectories(2)))
    again = PPOLearner(learner._config, model_dir, 1.0, tmp_path / "faults")
    again.load_checkpoint(tmp_path)
    again.update(grouped(random_trajectories(2)))
    assert same(weights(learner)["policy"], weights(again)["policy"])
    assert same(weights(learner)["critic"], weights(again)["critic"])


def test_only_named_targets_get_adapters(model_dir: Path) -> None:
    lora = {**LORA, "targets": ["q_proj", "v_proj"]}
    learner = new_learner(model_dir, lora=lora, policy=FAST, gradient_checkpointing=True)
    before = weights(learner)["policy"]
    learner.update(grouped(random_trajectories(1)))
    after = weights(learner)["policy"]
    moved = {n.split(".")[-2] for n in after if not torch.equal(before[n], after[n])}
    assert moved == {"q_proj", "v_proj"}


def test_an_unknown_target_is_refused(model_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"'c_attn' is no linear layer of the model; it has "):
        new_learner(model_dir, lora={"rank": 2, "targets": ["c_attn"]})


def test_rank_0_adds_no_adapters(model_dir: Path) -> None:
    assert LearnerConfig().lora.rank == 0
    learner = new_learner(model_dir)
    assert not any("lora" in name for name, _ in learner._policy.module.named_parameters())


def test_initial_adapters_depend_only_on_the_seed(model_dir: Path) -> None:
    def adapters(seed: int) -> dict[str, torch.Tensor]:
        torch.rand(3)  # whatever the process drew before
        named = new_learner(model_dir, lora=LORA, seed=seed)._policy.module.named_parameters()
        return {name: p.detach().clone() for name, p in named if ".lora_A." in name}

    first, again, other = adapters(1), adapters(1), adapters(2)
    assert first
    assert same(first, again)
    assert not same(first, other)


def test_two_ranks_learn_the_same_adapters_as_one(
    model_dir: Path, two_ranks: dict[str, dict]
) -> None:
    """In every stage; one bucket of the export is smaller than the model."""
    expected, metrics = run_here(model_dir, lora=LORA)
    before = base(model_dir)
    moved = {n: float((expected["policy"][n] - before[n]).abs().max()) for n in before}
    assert min(m for name, m in moved.items() if "_proj" in name) > 1e-3
    for stage in range(4):
        actual = two_ranks[f"lora-stage-{stage}"]
        assert_same(actual, expected, 2e-6)
        for figure in ("policy_loss", "value_loss", "kl", "policy_grad_norm", "critic_grad_norm"):
            assert actual["metrics"][figure] == pytest.approx(metrics[figure], rel=1e-4), stage
        assert actual["metrics"]["ratio_max_deviation_first_minibatch"] == 0.0
