"""Masks by kind and covered terms, advantages and metrics of a batch."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from learner.algorithm.experience import (
    Scores,
    batch_metrics,
    left_out,
    logprob_differences,
    make_experience,
    make_masks,
    needs_scores,
)
from learner.config import LearnerConfig
from learner.trajectory import Trajectory
from tests.learner.samples import random_trajectories, with_endings

CPU = torch.device("cpu")
BATCH = random_trajectories(3, prompts=4)
GROUPS = torch.arange(len(BATCH)) % 4
LENGTHS = [len(t.response_ids) for t in BATCH]


def scores(seed: int = 0, critic: bool = True) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    response = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    tables = torch.randn(4, *response.shape, generator=generator) * response
    rollout = torch.zeros(response.shape)
    rollout[response] = torch.tensor([value for t in BATCH for value in t.rollout_logprobs])
    return Scores(
        -tables[0].abs(), -tables[1].abs(), tables[2].abs(), tables[3] if critic else None, rollout
    )


def kept(table: torch.Tensor) -> list[int]:
    return table.sum(-1).tolist()


def test_the_fgo_mask_applies_to_the_configured_terms() -> None:
    for covers in ((), ("policy",), ("value", "kl"), ("policy", "value", "kl")):
        masks = make_masks(BATCH, LearnerConfig.model_validate({"mask_covers": covers}), 0, CPU)
        for term in ("policy", "value", "kl"):
            mask = getattr(masks, term)
            expected = [sum(t.executed_mask) for t in BATCH] if term in covers else LENGTHS
            assert kept(mask) == expected
            assert not (mask & ~masks.response).any()


def test_the_random_mask_drops_as_many_tokens_of_each_response() -> None:
    fgo = make_masks(BATCH, LearnerConfig(), 0, CPU)
    random = make_masks(BATCH, LearnerConfig(mask="random"), 0, CPU)
    assert kept(random.policy) == kept(fgo.policy)
    assert not torch.equal(random.policy, fgo.policy)
    assert not (random.policy & ~fgo.response).any()


def blamed(trajectories: list[Trajectory]) -> list[Trajectory]:
    """Every other sample raised: of its executed tokens only the even ones carry the blame."""
    return [
        replace(t, blamed_mask=tuple(ran and at % 2 == 0 for at, ran in enumerate(t.executed_mask)))
        if number % 2
        else t
        for number, t in enumerate(trajectories)
    ]


def test_the_error_mask_is_the_blame_where_it_is_known_and_else_the_fgo_mask() -> None:
    batch = blamed(BATCH)
    fgo = make_masks(batch, LearnerConfig(), 0, CPU).policy
    error = make_masks(batch, LearnerConfig(mask="error"), 0, CPU)
    control = make_masks(batch, LearnerConfig(mask="random_error"), 0, CPU)
    for row, trajectory in enumerate(batch):
        expected = trajectory.executed_mask if row % 2 == 0 else trajectory.blamed_mask
        assert error.policy[row, : len(trajectory.response_ids)].tolist() == list(expected or ())
    assert kept(control.policy) == kept(error.policy) != kept(fgo)
    assert not torch.equal(control.policy, error.policy)
    assert kept(error.value) == LENGTHS, "mask_covers decides, as for fgo"


def test_tokens_without_blame_are_counted_and_told_from_those_not_executed() -> None:
    batch, config = blamed(BATCH), LearnerConfig(mask="error", advantage="rloo")
    reasons = [reason for t in batch for reason in left_out(t, config, 0)]
    spared = reasons.count("not blamed")
    assert reasons.count("not executed") == sum(not ran for t in batch for ran in t.executed_mask)
    assert spared > 0
    masks = make_masks(batch, config, 0, CPU)
    made = make_experience(
        batch, torch.arange(len(batch)) // 2, masks, scores(critic=False), config
    )
    metrics = batch_metrics(batch, made, config)
    assert metrics["not_blamed_share"] == spared / sum(LENGTHS)
    assert metrics["blamed_responses"] == 0.5
    assert metrics["masked_share"] == pytest.approx(
        sum(reason != "" for reason in reasons) / sum(LENGTHS)
    )
    control = config.model_copy(update={"mask": "random_error"})
    assert {reason for t in batch for reason in left_out(t, control, 0)} == {"", "at random"}


def test_the_divergence_mask_drops_what_a_failure_shares_with_the_canonical_solution() -> None:
    batch = [
        replace(t, agreed=(1, len(t.response_ids) // 2)) if len(t.response_ids) > 3 else t
        for t in BATCH
    ]
    last = len(batch[0].response_ids)
    batch.append(replace(batch[0], agreed=(0, last), sample_id=len(batch)))
    config = LearnerConfig(mask="divergence", advantage="rloo")
    masks = make_masks(batch, config, 0, CPU)
    for row, trajectory in enumerate(batch):
        begin, end = trajectory.agreed or (0, 0)
        if end == last and row == len(BATCH):
            end = 0  # nothing stands behind what is common: the FGO mask
        expected = [
            ran and not begin <= at < end for at, ran in enumerate(trajectory.executed_mask)
        ]
        assert masks.policy[row, : len(expected)].tolist() == expected
        reasons = left_out(trajectory, config, 0)
        assert [not reason for reason in reasons] == expected
        ran = [why for why, ran in zip(reasons, trajectory.executed_mask, strict=True) if ran]
        assert set(ran) <= {"", "before divergence"}
    control = make_masks(batch, LearnerConfig(mask="random_divergence"), 0, CPU)
    assert kept(control.policy) == kept(masks.policy)
    assert not torch.equal(control.policy, masks.policy)
    for some in (BATCH, batch[:-1]):
        made = make_experience(
            some, GROUPS, make_masks(some, config, 0, CPU), scores(critic=False), config
        )
        known = sum(t.agreed is not None for t in some)
        metrics = batch_metrics(some, made, config)
        assert metrics["diverged_responses"] == known / len(BATCH)


def test_the_random_mask_is_seeded_by_seed_update_and_sample() -> None:
    def mask(seed: int, update: int) -> torch.Tensor:
        return make_masks(BATCH, LearnerConfig(mask="random", seed=seed), update, CPU).policy

    assert torch.equal(mask(1, 2), mask(1, 2))
    assert not torch.equal(mask(1, 2), mask(2, 2))
    assert not torch.equal(mask(1, 2), mask(1, 3))
    turned = make_masks(BATCH[::-1], LearnerConfig(mask="random", seed=1), 2, CPU).policy
    assert torch.equal(turned.flip(0), mask(1, 2))


def test_no_mask_keeps_every_generated_token() -> None:
    masks = make_masks(BATCH, LearnerConfig(mask="none"), 0, CPU)
    assert torch.equal(masks.policy, masks.response)
    assert kept(masks.response) == LENGTHS


def test_cut_text_cut_off_responses_and_aborted_ones_are_not_in_the_policy_loss() -> None:
    batch = with_endings(BATCH)
    cut = [sum(t.cut_mask) for t in batch]
    reasons = [t.finish_reason for t in batch]

    def left(**settings: str) -> tuple[list[int], list[int]]:
        masks = make_masks(batch, LearnerConfig.model_validate(settings), 0, CPU)
        assert kept(masks.response) == LENGTHS
        return kept(masks.policy), kept(masks.value)

    def expected(lengths: list[int], dropped: set[str], without_cut: bool) -> list[int]:
        return [
            0 if reason in dropped else length - without_cut * gone
            for length, reason, gone in zip(lengths, reasons, cut, strict=True)
        ]

    both = {"length", "abort"}
    assert left(mask="none") == (expected(LENGTHS, both, True), LENGTHS)
    assert left(mask="none", truncated="learn")[0] == expected(LENGTHS, {"abort"}, True)
    assert left(mask="none", truncated="penalise")[0] == expected(LENGTHS, {"abort"}, True)
    assert left(mask="none", cut_away="learn")[0] == expected(LENGTHS, both, False)
    fgo, _ = left()
    assert fgo == left(mask="random")[0], "as many of each response, of those not cut away"
    assert sum(fgo) < sum(left(mask="none")[0])


def test_endings_are_counted() -> None:
    batch = with_endings(BATCH)
    metrics = metrics_of(LearnerConfig(), batch)
    assert metrics["truncated_share"] == metrics["aborted_share"] == pytest.approx(0.1)
    assert metrics["cut_away_share"] == pytest.approx(8 / sum(LENGTHS))
    assert "overlong_penalty" not in metrics


def test_a_long_response_is_penalised_and_its_reward_reported_as_it_was() -> None:
    batch = with_endings(BATCH)
    config = {"truncated": "penalise", "max_response_tokens": 20, "overlong_penalty": 0.5}
    settings = {"advantage": "dr_grpo", "kl_coefficient": 0.0}
    without = LearnerConfig.model_validate(settings)
    within = LearnerConfig.model_validate({**settings, **config})
    plain, penalised = experience(without, batch), experience(within, batch)
    metrics = metrics_of(within, batch)
    assert metrics_of(without, batch)["reward"] == metrics["reward"]
    # Of 20 tokens the penalty rises in the last 4: one response has 17, another was cut off.
    assert metrics["overlong_penalty"] == pytest.approx((0.5 * 0.25 + 0.5) / 10)
    difference = penalised.advantages - plain.advantages
    assert float(difference[4, 0]) == pytest.approx(-0.5 * (1 - 1 / 3), abs=1e-5), "group of 3"


def experience(config: LearnerConfig, batch=BATCH, seed: int = 0, groups=GROUPS):
    critic = config.advantage == "gae"
    masks = make_masks(batch, config, 0, CPU)
    return make_experience(batch, groups, masks, scores(seed, critic), config)


def metrics_of(config: LearnerConfig, batch=BATCH) -> dict[str, float]:
    return batch_metrics(batch, experience(config, batch), config)


def test_group_baselines_give_every_token_its_samples_advantage() -> None:
    for name in ("grpo", "dr_grpo", "rloo"):
        actual = experience(LearnerConfig(advantage=name, kl_coefficient=0.0))
        assert actual.returns is None
        for row, length in enumerate(LENGTHS):
            assert len(set(actual.advantages[row, :length].tolist())) <= 1
            assert not actual.advantages[row, length:].any()


def test_a_group_of_equal_outcomes_has_no_signal_and_is_counted() -> None:
    same = [replace(t, reward=1.0) if number % 4 == 0 else t for number, t in enumerate(BATCH)]
    config = LearnerConfig(advantage="grpo", kl_coefficient=0.0)
    assert not experience(config, same).advantages[::4].any()
    assert metrics_of(config, same)["groups_without_signal"] == pytest.approx(0.25)


def test_two_groups_of_the_same_prompt_have_baselines_of_their_own() -> None:
    config = LearnerConfig(advantage="rloo", kl_coefficient=0.0)
    apart = experience(config, groups=torch.arange(len(BATCH)) % 8)
    together = experience(config)
    assert BATCH[0].prompt_ids == BATCH[4].prompt_ids
    assert not apart.advantages[4].any(), "alone in its group"
    assert together.advantages[4].any()


def test_a_kl_penalty_in_the_loss_is_not_in_the_reward() -> None:
    """Other reference log-probabilities, the same advantages."""
    in_loss = LearnerConfig(advantage="rloo", kl_in="loss", kl_estimator="k3")
    in_reward = LearnerConfig(advantage="rloo")
    other = replace(scores(0, False), reference_logprobs=scores(5, False).reference_logprobs)
    masks = make_masks(BATCH, in_loss, 0, CPU)
    for config, equal in ((in_loss, True), (in_reward, False)):
        with_first = make_experience(BATCH, GROUPS, masks, scores(0, False), config).advantages
        with_other = make_experience(BATCH, GROUPS, masks, other, config).advantages
        assert torch.equal(with_first, with_other) == equal


@pytest.mark.parametrize(
    "settings",
    [
        {"advantage": "gae"},
        {"advantage": "rloo"},
        {"advantage": "rloo", "kl_coefficient": 0.0},
        {"advantage": "grpo", "kl_in": "loss", "kl_estimator": "k3"},
        {"advantage": "reinforce++", "kl_coefficient": 0.0},
        {"advantage": "reinforce++"},
    ],
)
def test_advantages_that_need_no_scores_do_not_change_with_them(settings: dict) -> None:
    config = LearnerConfig.model_validate(settings)
    first, second = experience(config, seed=0), experience(config, seed=1)
    assert torch.equal(first.advantages, second.advantages) != needs_scores(config)


def test_whitened_advantages_do_not_depend_on_the_fgo_mask() -> None:
    for name in ("gae", "reinforce++"):
        masked = experience(LearnerConfig(advantage=name)).advantages
        whole = experience(LearnerConfig(advantage=name, mask="none")).advantages
        assert torch.equal(masked, whole)
        response = make_masks(BATCH, LearnerConfig(), 0, CPU).response
        assert float(masked[response].mean()) == pytest.approx(0, abs=1e-5)
        assert float(masked[response].var(correction=0)) == pytest.approx(1, abs=1e-3)


def test_importance_weights_and_their_metrics() -> None:
    assert experience(LearnerConfig()).weights is None
    actual = experience(LearnerConfig(importance_cap=1.5))
    assert actual.weights is not None
    response = make_masks(BATCH, LearnerConfig(), 0, CPU).response
    rollout = torch.tensor([value for t in BATCH for value in t.rollout_logprobs])
    expected = (scores().logprobs[response] - rollout).exp().clamp(max=1.5)
    torch.testing.assert_close(actual.weights[response], expected)
    metrics = metrics_of(LearnerConfig(importance_cap=1.5))
    assert metrics["importance_weight"] == pytest.approx(float(expected.mean()), rel=1e-5)
    share = float((expected == 1.5).float().mean())
    assert 0 < metrics["importance_capped_share"] == pytest.approx(share)


def test_only_fresh_samples_are_in_the_logprob_difference() -> None:
    response = make_masks(BATCH, LearnerConfig(), 0, CPU).response
    own = scores().logprobs
    by_engines = own.clone()
    by_engines[1] = scores().rollout_logprobs[1]
    batch = [replace(t, weight_version=6 if row == 1 else 7) for row, t in enumerate(BATCH)]
    made = replace(scores(), rollout_logprobs=by_engines)
    for version, differs, age in ((7, False, 0.1), (None, True, 0.0)):
        actual = logprob_differences(batch, made, response, version)
        assert (actual["rollout_trainer_logprob_diff"] > 1e-3) == differs
        assert actual["staleness"] == pytest.approx(age)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kl_in": "loss"}, "kl_in loss needs kl_estimator k2 or k3"),
        ({"advantage": "grpo"}, "set kl_in loss with kl_estimator k3, or kl_coefficient 0"),
        ({"zero": {"stage": 0, "offload_optimizer": True}}, "needs stage 1, 2 or 3"),
        ({"zero": {"stage": 2, "offload_parameters": True}}, "needs stage 3, stage is 2"),
        ({"loss": "gspo"}, "gspo is a mean over responses: set normalisation sequence"),
        ({"loss": "cispo", "dual_clip": 3.0}, "dual_clip is part of loss ppo, not of cispo"),
        ({"mask_covers": ["advantages"]}, "'policy', 'value' or 'kl'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LearnerConfig(**settings)


def test_the_masked_share_is_told_apart_by_outcome() -> None:
    batch = [replace(t, outcome=("passed", "failed")[at % 2]) for at, t in enumerate(BATCH)]
    metrics = metrics_of(LearnerConfig(), batch)
    for outcome in ("passed", "failed"):
        rows = [t for t in batch if t.outcome == outcome]
        executed = sum(sum(t.executed_mask) for t in rows)
        tokens = sum(len(t.response_ids) for t in rows)
        assert metrics[f"masked_share/{outcome}"] == pytest.approx(1 - executed / tokens)
    assert "masked_share/timeout" not in metrics
