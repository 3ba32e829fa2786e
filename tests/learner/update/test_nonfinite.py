"""An update stops at numbers that are not finite, and at log-probabilities that differ."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learner.errors import LogprobMismatchError, NonFiniteError
from tests.learner.ranks import weights
from tests.learner.runs import new_learner, same
from tests.learner.samples import grouped, random_trajectories

pytestmark = pytest.mark.integration

STAGES = pytest.mark.parametrize("stage", [0, 1, 2, 3])


@STAGES
def test_a_loss_that_is_not_finite_names_step_micro_batch_and_samples(
    stage: int, model_dir: Path, tmp_path: Path
) -> None:
    zero = {"stage": stage}
    learner = new_learner(model_dir, tmp_path, zero=zero, minibatch_size=20, token_budget=20)
    before = weights(learner)
    batch = random_trajectories(1)
    batch[1] = replace(batch[1], reward=1e38)
    with pytest.raises(NonFiniteError) as caught:
        learner.update(grouped(batch))
    message = str(caught.value)
    assert "update 0, optimizer step 0: the loss is not finite in micro-batch" in message
    assert same(before["policy"], weights(learner)["policy"])
    assert same(before["critic"], weights(learner)["critic"])
    written = sorted(tmp_path.glob("*.json"))
    assert written
    assert all(str(path) in message for path in written)


class BreakGradient(torch.autograd.Function):
    """The values as they are; a gradient of NaN where `broken`."""

    @staticmethod
    def forward(ctx, values, broken):
        ctx.save_for_backward(broken)
        return values.clone()

    @staticmethod
    def backward(ctx, *gradients):
        (broken,) = ctx.saved_tensors
        return torch.where(broken, float("nan"), gradients[0]), None


@pytest.mark.parametrize("model", ["policy", "critic"])
@STAGES
def test_a_broken_gradient_stops_both_models_and_its_sample_is_dumped(
    stage: int,
    model: str,
    model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sample of several in its micro-batch has a broken gradient, in one of the models."""
    zero = {"stage": stage}
    learner = new_learner(model_dir, tmp_path, zero=zero, minibatch_size=20, token_budget=64)
    before = weights(learner)
    batch = random_trajectories(1)
    target = batch[8]
    kind = type(getattr(learner, f"_{model}").module)
    forward = kind.forward

    def spoilt(self, tokens, *rest, **options):
        actual = forward(self, tokens, *rest, **options)
        values = actual if model == "critic" else actual[0]
        broken = torch.zeros(len(values), dtype=torch.bool)
        sequences = tokens.input_ids[0].split(tokens.bounds.diff().tolist())
        for ids, part in zip(sequences, broken.split(tokens.counts), strict=True):
            part[:] = ids.tolist() == list(target.token_ids)
        if values.requires_grad:
            values = BreakGradient.apply(values, broken)
        return values if model == "critic" else (values, *actual[1:])

    monkeypatch.setattr(kind, "forward", spoilt)
    message = r"update 0, optimizer step 0: the gradient is not finite in micro-batch 1 of rank 0"
    with pytest.raises(NonFiniteError, match=message):
        learner.update(grouped(batch))
    assert same(before["policy"], weights(learner)["policy"])
    assert same(before["critic"], weights(learner)["critic"])

    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert (record["update"], record["optimizer_step"], record["micro_batch"]) == (0, 0, 1)
    assert record["samples_with_broken_gradient"] == [target.sample_id]
    names = [sample["sample_id"] for sample in record["samples"]]
    assert 0 < names.index(target.sample_id) < len(names) - 1, "it lies within the row"
    sample = record["samples"][names.index(target.sample_id)]
    assert [token["id"] for token in sample["tokens"]] == list(target.response_ids)
    assert [token["executed"] for token in sample["tokens"]] == list(target.executed_mask)
    assert sample["outcome"] == "failed"
    tensors = torch.load(path.with_suffix(".pt"))
    assert tensors["token_ids"][target.sample_id][1] == list(target.response_ids)
    row = tensors["advantage"][names.index(target.sample_id)]
    assert [token["advantage"] for token in sample["tokens"]] == row[
        : len(sample["tokens"])
    ].tolist()


@STAGES
def test_a_step_that_is_not_finite_is_skipped_by_choice(
    stage: int, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two optimizer steps is skipped, as if its samples had not been there."""
    options = {"zero": {"stage": stage}, "minibatch_size": 8, "token_budget": 64}
    learner = new_learner(model_dir, tmp_path, non_finite="skip", **options)
    batch = grouped(random_trajectories(1))
    assert learner._critic is not None
    policy, critic = type(learner._policy.module), type(learner._critic.module)
    steps = {policy: 0, critic: 0}
    takes = learner._take_step
    before = weights(learner)
    after_first: list[dict] = []

    def watch(*arguments):
        kl = takes(*arguments)
        after_first.append(weights(learner))
        steps[policy] += 1
        return kl

    monkeypatch.setattr(learner, "_take_step", watch)
    for kind in (policy, critic):
        forward = kind.forward

        def spoilt(self, *rest, forward=forward, **options):
            actual = forward(self, *rest, **options)
            values = actual[0] if isinstance(actual, tuple) else actual
            if values.requires_grad and steps[policy] == 0:
                values = BreakGradient.apply(values, torch.ones(len(values), dtype=torch.bool))
            return (values, *actual[1:]) if isinstance(actual, tuple) else values

        monkeypatch.setattr(kind, "forward", spoilt)
    metrics = learner.update(batch)
    assert len(after_first) > 1
    assert same(before["policy"], after_first[0]["policy"])
    assert same(before["critic"], after_first[0]["critic"])
    assert not same(before["policy"], weights(learner)["policy"])
    assert metrics["steps_skipped"] == 1
    assert metrics["optimizer_steps"] == len(after_first) - 1
    assert all(map(math.isfinite, metrics.values()))
    assert list(tmp_path.glob("*.json")), "its samples are dumped"
    monkeypatch.setattr(learner, "_take_step", takes)
    learner._config = learner._config.model_copy(update={"minibatch_size": 20})
    steps[policy] = 0
    with pytest.raises(NonFiniteError, match="not one of its 1 optimizer steps is finite"):
        learner.update(batch)


def test_samples_with_scores_that_are_not_finite_are_dumped(
    model_dir: Path, tmp_path: Path
) -> None:
    learner = new_learner(model_dir, tmp_path)
    with torch.no_grad():
        learner._model.get_output_embeddings().weight[5] = float("nan")
    with pytest.raises(NonFiniteError, match=r"the weights are broken, written to .*\.json"):
        learner.update(grouped(random_trajectories(1)))
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert "nan" in [token["old_logprob"] for token in record["samples"][0]["tokens"]]


@pytest.mark.parametrize(
    ("alarm", "shift", "outcome"),
    [("warn", 0.5, "warns"), ("raise", 0.5, "raises"), ("off", 0.5, ""), ("raise", 0.0, "")],
)
def test_the_log_probability_alarm_warns_raises_or_is_off(
    alarm: str,
    shift: float,
    outcome: str,
    model_dir: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    learner = new_learner(model_dir, temperature=0.8, logprob_diff_alarm=alarm)
    before = weights(learner)
    batch = random_trajectories(1)
    own = learner.token_logprobs([t.token_ids for t in batch], temperature=0.8)
    batch = [
        replace(t, rollout_logprobs=tuple(v + shift for v in actual[len(t.prompt_ids) - 1 :]))
        for t, actual in zip(batch, own, strict=True)
    ]
    if outcome == "raises":
        with pytest.raises(LogprobMismatchError, match=r"0\.5 nats, the limit is 0\.0001"):
            learner.update(grouped(batch))
        assert same(before["policy"], weights(learner)["policy"])
        assert same(before["critic"], weights(learner)["critic"])
    else:
        metrics = learner.update(grouped(batch))
        assert metrics["rollout_trainer_logprob_diff"] == pytest.approx(shift, abs=1e-4)
    assert ("the limit is 0.0001" in caplog.text) == (outcome == "warns")


def test_stale_samples_raise_no_alarm(model_dir: Path) -> None:
    learner = new_learner(model_dir, logprob_diff_alarm="raise")
    metrics = learner.update(grouped(random_trajectories(1)), weight_version=2)
    assert metrics["rollout_trainer_logprob_diff"] == 0.0
    assert metrics["staleness"] == 2.0
    with pytest.raises(LogprobMismatchError):
        learner.update(grouped(random_trajectories(1)), weight_version=0)
