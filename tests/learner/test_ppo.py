"""One update: what it changes, reports and refuses."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learner.errors import LogprobMismatchError, ModelError, NonFiniteError
from learner.ppo import PPOLearner
from learner.trajectory import Trajectory
from tests.learner.ranks import weights
from tests.learner.runs import new_learner, same
from tests.learner.samples import grouped, random_trajectories

pytestmark = pytest.mark.integration

(SAMPLE,) = random_trajectories(1, [(2, 1)])


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_the_first_ratios_are_exactly_one(budget: int, model_dir: Path) -> None:
    learner = new_learner(model_dir, temperature=0.7, token_budget=budget, epochs=2)
    for seed in (1, 2):
        metrics = learner.update(grouped(random_trajectories(seed)))
        assert metrics["ratio_max_deviation_first_minibatch"] == 0.0
    assert metrics["clip_share"] > 0, "the later ratios do move"


SCORED_WHILE_LEARNING = {
    "rloo": {"advantage": "rloo", "kl_coefficient": 0.0, "importance_cap": 1.5},
    "grpo with the KL as a loss": {
        "advantage": "grpo", "kl_in": "loss", "kl_estimator": "k3", "entropy_coefficient": 0.01
    },
}  # fmt: skip


@pytest.mark.parametrize("variant", SCORED_WHILE_LEARNING)
@pytest.mark.parametrize("minibatch", [6, 100])
def test_scores_of_the_first_step_are_those_of_its_own_forward_pass(
    variant: str, minibatch: int, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits as with a pass of their own, and that pass is saved."""
    batch = grouped(random_trajectories(1, prompts=4))
    samples = sum(len(group.trajectories) for group in batch)
    learners, scored = [], []
    for ahead in (False, True):
        options = {**SCORED_WHILE_LEARNING[variant], "minibatch_size": minibatch}
        learner = new_learner(model_dir, token_budget=60, epochs=2, **options)
        if ahead:
            monkeypatch.setattr(learner, "_learning_scores", lambda: False)
        count = 0
        scores = learner._scores

        def counted(tokens, scores=scores):
            nonlocal count
            count += len(tokens.counts)
            return scores(tokens)

        monkeypatch.setattr(learner, "_scores", counted)
        metrics = learner.update(batch, record=range(samples))
        clock = "seconds"
        figures = {name: value for name, value in metrics.items() if not name.startswith(clock)}
        learners.append((figures, weights(learner)["policy"], learner.recorded))
        scored.append(count)
    steps = math.ceil(samples / minibatch)
    assert scored == [samples - samples // steps, samples]
    (late, weights_late, values_late), (early, weights_early, values_early) = learners
    assert late == early
    assert same(weights_late, weights_early)
    for sample, values in values_early.items():
        for name in ("logprobs", "entropies", "weights", "reference_logprobs"):
            expected = getattr(values, name)
            actual = getattr(values_late[sample], name)
            assert (actual is None) == (expected is None)
            assert expected is None or (actual == expected).all()


def test_a_batch_that_is_refused_leaves_nothing_behind(
    model_dir: Path,
) -> None:
    settings = {"advantage": "rloo", "kl_coefficient": 0.0}
    learner = new_learner(model_dir, **settings, logprob_diff_alarm="raise")
    before = weights(learner)["policy"]
    with pytest.raises(LogprobMismatchError, match="update 0: log-probabilities by the rollout"):
        learner.update(grouped(random_trajectories(1, prompts=4)))
    assert same(before, weights(learner)["policy"])
    learner._config = learner._config.model_copy(update={"logprob_diff_alarm": "off"})
    fresh = new_learner(model_dir, **settings, logprob_diff_alarm="off")
    for each in (learner, fresh):
        each.update(grouped(random_trajectories(2, prompts=4)))
    assert same(weights(learner)["policy"], weights(fresh)["policy"])
    assert not same(before, weights(fresh)["policy"])


def test_the_order_of_the_batch_does_not_matter(model_dir: Path) -> None:
    batch = random_trajectories(1)
    forward, backward = new_learner(model_dir), new_learner(model_dir)
    forward.update(grouped(batch))
    backward.update(grouped(batch[::-1]))
    assert same(weights(forward)["policy"], weights(backward)["policy"])
    assert same(weights(forward)["critic"], weights(backward)["critic"])


def test_fgo_drops_unexecuted_tokens_only_from_the_policy_loss(model_dir: Path) -> None:
    batch = random_trajectories(1)
    masked, vanilla = new_learner(model_dir), new_learner(model_dir, mask="none")
    with_fgo, without = masked.update(grouped(batch)), vanilla.update(grouped(batch))
    kept = sum(sum(t.executed_mask) for t in batch) / sum(len(t.response_ids) for t in batch)
    assert with_fgo["masked_share"] == pytest.approx(1 - kept)
    assert without["masked_share"] == 0.0
    assert with_fgo["value_loss"] == without["value_loss"]
    assert same(weights(masked)["critic"], weights(vanilla)["critic"])
    assert not same(weights(masked)["policy"], weights(vanilla)["policy"])


def test_a_batch_without_executed_tokens_leaves_the_policy_unchanged(model_dir: Path) -> None:
    batch = [
        replace(t, executed_mask=(False,) * len(t.response_ids)) for t in random_trajectories(1)
    ]
    learner = new_learner(model_dir)
    before = weights(learner)
    metrics = learner.update(grouped(batch))
    assert all(map(math.isfinite, metrics.values()))
    assert metrics["masked_share"] == 1.0
    assert same(before["policy"], weights(learner)["policy"])
    assert not same(before["critic"], weights(learner)["critic"])


@pytest.mark.parametrize("responses", [(0,), (0, 0), (1,), (0, 1)])
def test_empty_and_single_token_responses_give_finite_results(
    responses: tuple[int, ...], model_dir: Path
) -> None:
    learner = new_learner(model_dir)
    metrics = learner.update(
        grouped(random_trajectories(1, [(3, response) for response in responses]))
    )
    assert metrics["tokens"] == sum(responses)
    assert all(map(math.isfinite, metrics.values()))
    assert all(torch.isfinite(weight).all() for _, weight in learner.named_weights())


def test_only_the_critic_learns_during_its_warm_up(model_dir: Path) -> None:
    learner = new_learner(model_dir, critic_warmup_steps=1)
    start = weights(learner)
    first = learner.update(grouped(random_trajectories(1)))
    warmed = weights(learner)
    second = learner.update(grouped(random_trajectories(2)))
    assert same(start["policy"], warmed["policy"])
    assert not same(start["critic"], warmed["critic"])
    assert not same(warmed["policy"], weights(learner)["policy"])
    assert (first["policy_lr"], second["policy_lr"]) == (0.0, 1e-3)


def test_a_rewarded_token_becomes_more_likely(model_dir: Path) -> None:
    def answer(token: int) -> Trajectory:
        good = token == 7
        rewarded = replace(SAMPLE, sample_id=token, reward=1.0 if good else -1.0)
        return replace(rewarded, prompt_ids=(3, 4), response_ids=(token,), executed_mask=(True,))

    learner = new_learner(model_dir, kl_coefficient=0.0)
    before = learner.token_logprobs([[3, 4, 7]])[0][-1]
    for _ in range(3):
        learner.update(grouped([answer(7), answer(8), answer(9), answer(10)]))
    assert learner.token_logprobs([[3, 4, 7]])[0][-1] > before + 0.01


def test_the_difference_to_the_rollout_engine_is_reported(model_dir: Path) -> None:
    learner = new_learner(model_dir, temperature=0.8)
    batch = random_trajectories(1)
    own = learner.token_logprobs([t.token_ids for t in batch], temperature=0.8)
    exact = [
        replace(t, rollout_logprobs=tuple(actual[len(t.prompt_ids) - 1 :]))
        for t, actual in zip(batch, own, strict=True)
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


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_broken_weight_stops_the_update_and_names_the_samples(
    stage: int, model_dir: Path
) -> None:
    learner = new_learner(model_dir, zero={"stage": stage, "bucket_elements": 1000})
    break_weight(learner, float("nan"))
    with pytest.raises(NonFiniteError, match=r"update 0: .*not finite for samples 100, 101"):
        learner.update(grouped(random_trajectories(1)))


def break_weight(learner: PPOLearner, value: float) -> None:
    import deepspeed

    parameter = next(iter(learner._policy.module.parameters()))
    partitioned = [parameter] if hasattr(parameter, "ds_id") else []
    with deepspeed.zero.GatheredParameters(partitioned, modifier_rank=0), torch.no_grad():
        parameter[...] = value


def test_a_duplicate_sample_id_is_refused(model_dir: Path) -> None:
    batch = random_trajectories(1)
    with pytest.raises(ValueError, match="sample 100 is in the batch twice"):
        new_learner(model_dir).update(grouped([*batch, batch[0]]))


def test_an_empty_batch_is_refused(model_dir: Path) -> None:
    with pytest.raises(ValueError, match="at least one trajectory"):
        new_learner(model_dir).update([])


def test_a_token_outside_the_vocabulary_is_refused(model_dir: Path) -> None:
    batch = random_trajectories(1)
    batch[0] = replace(batch[0], prompt_ids=(5, 100_000))
    with pytest.raises(ModelError, match=r"100: token 100000 is outside .* does not fit the model"):
        new_learner(model_dir).update(grouped(batch))
