"""Adapters: only they learn, the reference is the base, and what leaves the process is merged."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from learner.config import LearnerConfig
from learner.errors import ModelError
from learner.ppo import PPOLearner
from tests.learner.conftest import grouped
from tests.learner.ranks import weights
from tests.learner.test_ppo import Make, new_learner, same
from tests.learner.test_ppo_exactness import assert_same, run_here, run_two_ranks

LORA = {"rank": 4, "alpha": 8}
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


def test_what_is_exported_is_the_base_until_it_has_learned(
    learner: PPOLearner, model_dir: Path, make_trajectories: Make
) -> None:
    before = weights(learner)["policy"]
    wanted = base(model_dir)
    assert before.keys() == wanted.keys()
    assert same(wanted, before)
    assert learner.weight_shapes() == [
        (name, weight.dtype, tuple(weight.shape)) for name, weight in before.items()
    ]
    metrics = learner.update(grouped(make_trajectories(1)))
    assert metrics["ratio_max_deviation_first_minibatch"] == 0.0
    assert metrics["kl"] == 0.0, "the reference is the base, which the policy still is"
    after = weights(learner)["policy"]
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    linear = {name for name in after if "_proj" in name}
    assert moved == linear, "every linear layer but the output layer"


def test_the_reference_stays_the_base(
    learner: PPOLearner, model_dir: Path, make_trajectories: Make
) -> None:
    """The KL that an update reports is that of the merged policy against the first one."""
    batch = make_trajectories(1)
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


def test_what_is_saved_answers_like_the_learner(
    learner: PPOLearner, make_trajectories: Make, tmp_path: Path
) -> None:
    learner.update(grouped(make_trajectories(1)))
    learner.save_pretrained(tmp_path / "policy")
    assert not list((tmp_path / "policy").glob("adapter*"))
    sequence = make_trajectories(2)[1].token_ids
    model, ids = AutoModelForCausalLM.from_pretrained(tmp_path / "policy"), torch.tensor(sequence)
    with torch.no_grad():
        logprobs = model(ids[None]).logits[0, :-1].log_softmax(-1)
    (found,) = learner.token_logprobs([sequence])
    wanted = logprobs.gather(-1, ids[1:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(found), wanted, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_brings_the_adapters_back(
    learner: PPOLearner, model_dir: Path, make_trajectories: Make, tmp_path: Path
) -> None:
    learner.update(grouped(make_trajectories(1)))
    learner.save_checkpoint(tmp_path)
    learner.update(grouped(make_trajectories(2)))
    again = PPOLearner(learner._config, model_dir, 1.0, tmp_path / "faults")
    again.load_checkpoint(tmp_path)
    again.update(grouped(make_trajectories(2)))
    assert same(weights(learner)["policy"], weights(again)["policy"])
    assert same(weights(learner)["critic"], weights(again)["critic"])


def test_named_targets_alone_get_adapters(model_dir: Path, make_trajectories: Make) -> None:
    lora = {**LORA, "targets": ["q_proj", "v_proj"]}
    learner = new_learner(model_dir, lora=lora, policy=FAST, gradient_checkpointing=True)
    before = weights(learner)["policy"]
    learner.update(grouped(make_trajectories(1)))
    after = weights(learner)["policy"]
    moved = {n.split(".")[-2] for n in after if not torch.equal(before[n], after[n])}
    assert moved == {"q_proj", "v_proj"}


def test_a_target_that_does_not_exist_is_refused(model_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"'c_attn' is no linear layer of the model; it has "):
        new_learner(model_dir, lora={"rank": 2, "targets": ["c_attn"]})


def test_without_adapters_nothing_of_peft_is_in_the_model(model_dir: Path) -> None:
    assert LearnerConfig().lora.rank == 0
    learner = new_learner(model_dir)
    assert not any("lora" in name for name, _ in learner._policy.module.named_parameters())


def test_adapters_start_from_the_seed_alone(model_dir: Path) -> None:
    def adapters(seed: int) -> dict[str, torch.Tensor]:
        torch.rand(3)  # whatever the process drew before
        named = new_learner(model_dir, lora=LORA, seed=seed)._policy.module.named_parameters()
        return {name: p.detach().clone() for name, p in named if ".lora_A." in name}

    first, again, other = adapters(1), adapters(1), adapters(2)
    assert first
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.integration
def test_two_ranks_learn_the_adapters_of_one(
    model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In every stage; one bucket of the export is smaller than the model."""
    stages = {
        f"stage-{n}": {"lora": LORA, "zero": {"stage": n, "export_bucket_mib": 0.04}}
        for n in range(4)
    }
    wanted, metrics = run_here(model_dir, lora=LORA)
    before = base(model_dir)
    moved = {n: float((wanted["policy"][n] - before[n]).abs().max()) for n in before}
    assert min(m for name, m in moved.items() if "_proj" in name) > 1e-3
    for name, found in run_two_ranks(model_dir, tmp_path_factory, stages).items():
        assert_same(found, wanted, 2e-6)
        for figure in ("policy_loss", "value_loss", "kl", "policy_grad_norm", "critic_grad_norm"):
            assert found["metrics"][figure] == pytest.approx(metrics[figure], rel=1e-4), name
        assert found["metrics"]["ratio_max_deviation_first_minibatch"] == 0.0
