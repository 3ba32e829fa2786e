"""What one update does and refuses."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from learner.config import LearnerConfig, OptimizerConfig
from learner.errors import ModelError, NonFiniteError
from learner.ppo import PPOLearner
from learner.trajectory import Trajectory
from tests.learner.conftest import grouped
from tests.learner.ranks import weights

Make = Callable[..., list[Trajectory]]


def new_learner(
    model_dir: Path, faults: Path | None = None, temperature: float = 1.0, **changes
) -> PPOLearner:
    rates = {"policy": OptimizerConfig(lr=1e-3), "critic": OptimizerConfig(lr=1e-3)}
    config = LearnerConfig(**{**rates, "minibatch_size": 4, **changes})
    return PPOLearner(config, model_dir, temperature, faults or model_dir.parent / "faults")


def same(before: dict, after: dict) -> bool:
    assert before.keys() == after.keys() != set()
    return all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_the_first_ratios_are_exactly_one(
    budget: int, model_dir: Path, make_trajectories: Make
) -> None:
    learner = new_learner(model_dir, temperature=0.7, token_budget=budget, epochs=2)
    for seed in (1, 2):
        metrics = learner.update(grouped(make_trajectories(seed)))
        assert metrics["ratio_max_deviation_first_minibatch"] == 0.0
    assert metrics["clip_share"] > 0, "the later ratios do move"


def test_the_order_of_arrival_does_not_matter(model_dir: Path, make_trajectories: Make) -> None:
    batch = make_trajectories(1)
    forward, backward = new_learner(model_dir), new_learner(model_dir)
    forward.update(grouped(batch))
    backward.update(grouped(batch[::-1]))
    assert same(weights(forward)["policy"], weights(backward)["policy"])
    assert same(weights(forward)["critic"], weights(backward)["critic"])


def test_fgo_drops_unexecuted_tokens_from_the_policy_loss_alone(
    model_dir: Path, make_trajectories: Make
) -> None:
    batch = make_trajectories(1)
    masked, vanilla = new_learner(model_dir), new_learner(model_dir, mask="none")
    with_fgo, without = masked.update(grouped(batch)), vanilla.update(grouped(batch))
    kept = sum(sum(t.executed_mask) for t in batch) / sum(len(t.response_ids) for t in batch)
    assert with_fgo["masked_share"] == pytest.approx(1 - kept)
    assert without["masked_share"] == 0.0
    assert with_fgo["value_loss"] == without["value_loss"]
    assert same(weights(masked)["critic"], weights(vanilla)["critic"])
    assert not same(weights(masked)["policy"], weights(vanilla)["policy"])


def test_a_batch_without_executed_tokens_leaves_the_policy(
    model_dir: Path, make_trajectories: Make
) -> None:
    batch = [replace(t, executed_mask=(False,) * len(t.response_ids)) for t in make_trajectories(1)]
    learner = new_learner(model_dir)
    before = weights(learner)
    metrics = learner.update(grouped(batch))
    assert all(map(math.isfinite, metrics.values()))
    assert metrics["masked_share"] == 1.0
    assert same(before["policy"], weights(learner)["policy"])
    assert not same(before["critic"], weights(learner)["critic"])


@pytest.mark.parametrize("responses", [(0,), (0, 0), (1,), (0, 1)])
def test_empty_and_single_token_responses_are_safe(
    responses: tuple[int, ...], model_dir: Path, make_trajectories: Make
) -> None:
    learner = new_learner(model_dir)
    metrics = learner.update(
        grouped(make_trajectories(1, [(3, response) for response in responses]))
    )
    assert metrics["tokens"] == sum(responses)
    assert all(map(math.isfinite, metrics.values()))
    assert all(torch.isfinite(weight).all() for _, weight in learner.named_weights())


def test_the_critic_warms_up_alone(model_dir: Path, make_trajectories: Make) -> None:
    learner = new_learner(model_dir, critic_warmup_steps=1)
    start = weights(learner)
    first = learner.update(grouped(make_trajectories(1)))
    warmed = weights(learner)
    second = learner.update(grouped(make_trajectories(2)))
    assert same(start["policy"], warmed["policy"])
    assert not same(start["critic"], warmed["critic"])
    assert not same(warmed["policy"], weights(learner)["policy"])
    assert (first["policy_lr"], second["policy_lr"]) == (0.0, 1e-3)


def test_a_reward_for_one_token_makes_it_likelier(model_dir: Path) -> None:
    def answer(token: int) -> Trajectory:
        good = token == 7
        return Trajectory(
            token, "p", 0, (3, 4), (token,), (-1.0,), (True,), 1.0 if good else -1.0, 0, "x"
        )

    learner = new_learner(model_dir, kl_coefficient=0.0)
    before = learner.token_logprobs([[3, 4, 7]])[0][-1]
    for _ in range(3):
        learner.update(grouped([answer(7), answer(8), answer(9), answer(10)]))
    assert learner.token_logprobs([[3, 4, 7]])[0][-1] > before + 0.01


def test_the_difference_to_the_rollout_engine_is_reported(
    model_dir: Path, make_trajectories: Make
) -> None:
    learner = new_learner(model_dir, temperature=0.8)
    batch = make_trajectories(1)
    own = learner.token_logprobs([t.token_ids for t in batch], temperature=0.8)
    exact = [
        replace(t, rollout_logprobs=tuple(found[len(t.prompt_ids) - 1 :]))
        for t, found in zip(batch, own, strict=True)
    ]
    shifted = replace(
        exact[1], rollout_logprobs=tuple(value + 0.5 for value in exact[1].rollout_logprobs)
    )
    tokens = sum(len(t.response_ids) for t in batch)
    share = len(shifted.response_ids) / tokens
    metrics = learner.update(
        grouped([shifted if t.sample_id == shifted.sample_id else t for t in exact])
    )
    assert metrics["rollout_trainer_logprob_diff"] == pytest.approx(0.5, abs=1e-4)
    assert metrics["rollout_trainer_logprob_diff_mean"] == pytest.approx(0.5 * share, abs=1e-4)


def test_token_logprobs_equal_full_log_softmax(model_dir: Path, make_trajectories: Make) -> None:
    sequences = [t.token_ids for t in make_trajectories(1)]
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    found = new_learner(model_dir, token_budget=30).token_logprobs(sequences, temperature=0.6)
    for tokens, row in zip(sequences, found, strict=True):
        ids = torch.tensor(tokens)
        with torch.no_grad():
            logprobs = (model(ids[None]).logits[0, :-1] / 0.6).log_softmax(-1)
        torch.testing.assert_close(
            torch.tensor(row), logprobs.gather(-1, ids[1:, None])[:, 0], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("stage", [2, 3])
def test_weights_carry_hugging_face_names_and_shapes(stage: int, model_dir: Path) -> None:
    learner = new_learner(model_dir, zero={"stage": stage, "export_bucket_mib": 1})
    wanted = AutoModelForCausalLM.from_pretrained(model_dir).state_dict()
    found = {name: weight.clone() for name, weight in learner.named_weights()}
    assert found.keys() == wanted.keys()
    assert same(wanted, found)
    assert learner.weight_shapes() == [
        (name, weight.dtype, tuple(weight.shape)) for name, weight in found.items()
    ]


def test_stage_3_gathers_no_more_than_a_bucket_at_once(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import deepspeed

    gathered = []
    gather = deepspeed.zero.GatheredParameters

    def recorded(parameters: list, **options):
        gathered.append(sum(p.ds_numel * p.element_size() for p in parameters))
        return gather(parameters, **options)

    learner = new_learner(model_dir, zero={"stage": 3, "export_bucket_mib": 0.04})
    monkeypatch.setattr(deepspeed.zero, "GatheredParameters", recorded)
    sizes = [weight.numel() * 4 for _, weight in learner.named_weights()]
    assert sum(gathered) == sum(sizes)
    assert max(sizes) <= max(gathered) <= 0.04 * 2**20
    assert len(gathered) < len(sizes)


@pytest.mark.parametrize("stage", [2, 3])
def test_a_saved_policy_is_an_ordinary_model_folder(
    stage: int, model_dir: Path, make_trajectories: Make, tmp_path: Path
) -> None:
    learner = new_learner(model_dir, zero={"stage": stage})
    for seed in (1, 2):
        learner.update(grouped(make_trajectories(seed)))
        learner.save_pretrained(tmp_path / "out" / "policy")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "policy").state_dict()
    assert same(weights(learner)["policy"], loaded)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "policy")
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(model_dir).get_vocab()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["policy"]


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_broken_weight_stops_the_update_and_names_the_samples(
    stage: int, model_dir: Path, make_trajectories: Make
) -> None:
    learner = new_learner(model_dir, zero={"stage": stage, "bucket_elements": 1000})
    break_weight(learner, float("nan"))
    with pytest.raises(NonFiniteError, match=r"update 0: .*not finite for samples 100, 101"):
        learner.update(grouped(make_trajectories(1)))


def break_weight(learner: PPOLearner, value: float) -> None:
    import deepspeed

    parameter = next(iter(learner._policy.module.parameters()))
    partitioned = [parameter] if hasattr(parameter, "ds_id") else []
    with deepspeed.zero.GatheredParameters(partitioned, modifier_rank=0), torch.no_grad():
        parameter[...] = value


def test_a_sample_given_twice_is_refused(model_dir: Path, make_trajectories: Make) -> None:
    batch = make_trajectories(1)
    with pytest.raises(ValueError, match="sample 100 is in the batch twice"):
        new_learner(model_dir).update(grouped([*batch, batch[0]]))


def test_an_empty_batch_is_refused(model_dir: Path) -> None:
    with pytest.raises(ValueError, match="at least one trajectory"):
        new_learner(model_dir).update([])


def test_a_token_outside_the_vocabulary_is_refused(
    model_dir: Path, make_trajectories: Make
) -> None:
    batch = make_trajectories(1)
    batch[0] = replace(batch[0], prompt_ids=(5, 100_000))
    with pytest.raises(ModelError, match=r"100: token 100000 is outside .* does not fit the model"):
        new_learner(model_dir).update(grouped(batch))


def test_a_missing_model_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: it has no config.json"):
        new_learner(tmp_path / "nowhere")


def test_a_critic_may_be_shallower_than_the_policy(
    model_dir: Path, make_trajectories: Make
) -> None:
    learner = new_learner(model_dir, critic_layers=1)
    blocks = {name for name in weights(learner)["critic"] if ".layers." in name}
    assert blocks
    assert all(name.startswith("backbone.layers.0.") for name in blocks)
    assert math.isfinite(learner.update(grouped(make_trajectories(1)))["value_loss"])
    with pytest.raises(ModelError, match="cannot have 3 layers, the policy has 2"):
        new_learner(model_dir, critic_layers=3)
