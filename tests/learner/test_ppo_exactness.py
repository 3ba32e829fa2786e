"""The gradient is that of plain PyTorch for all micro-batches, ranks, ZeRO stages and options."""

from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from learner.config import LearnerConfig
from learner.plan.epoch import plan_epoch, unshared
from tests.learner.reference import ReferencePPO
from tests.learner.runs import (
    EXPORT_BUCKET_MIB,
    ONE_SAMPLE_A_STEP,
    ONE_STEP_AN_UPDATE,
    OTHER_OPTIONS,
    UPDATES,
    VARIANTS,
    assert_same,
    batch,
    run_fresh,
    run_here,
    settings,
)

# The first test to use the runs on two ranks waits for all of them.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def plain(model_dir: Path) -> Callable[[str], dict]:
    """Weights after two updates by plain PyTorch, by name of the variant."""

    @cache
    def weights_of(variant: str) -> dict:
        config = LearnerConfig(**settings(**VARIANTS[variant]))
        reference = ReferencePPO(config, model_dir, 0.8)
        before = {name: w.detach().clone() for name, w in reference.policy.named_parameters()}
        for update, seed in enumerate(UPDATES):
            sizes = unshared([len(t.token_ids) for t in batch(seed)])
            steps = [
                step.samples
                for epoch in range(config.epochs)
                for step in plan_epoch(sizes, 4, 40, 0, 1, f"{config.seed}/{update}/{epoch}")
            ]
            reference.update(batch(seed), steps)
        policy = {name: w.detach() for name, w in reference.policy.named_parameters()}
        moved = max(float((policy[name] - before[name]).abs().max()) for name in policy)
        assert moved > 0.01, "the comparison would not notice a wrong gradient"
        if config.advantage != "gae":
            return {"policy": policy, "critic": {}}
        backbone = {f"backbone.{n}": w.detach() for n, w in reference.backbone.named_parameters()}
        head = {f"value_head.{n}": w.detach() for n, w in reference.head.named_parameters()}
        return {"policy": policy, "critic": {**backbone, **head}}

    return weights_of


Plain = Callable[[str], dict]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_matches_plain_pytorch(variant: str, plain: Plain, model_dir: Path) -> None:
    actual, _ = run_here(model_dir, **VARIANTS[variant])
    assert_same(actual, plain(variant), 4e-6)


def test_the_variants_give_different_weights(plain: Plain) -> None:
    """Otherwise a variant would prove nothing of its own."""
    policies = [plain(variant)["policy"] for variant in VARIANTS]
    for first, second in combinations(policies, 2):
        assert max(float((first[n] - second[n]).abs().max()) for n in first) > 1e-4


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_stage_on_one_rank_matches_plain_pytorch(
    stage: int, plain: Plain, model_dir: Path
) -> None:
    actual, _ = run_here(model_dir, zero={"stage": stage})
    assert_same(actual, plain("ppo"), 2e-6)


@pytest.mark.parametrize("budget", [1, 25, 10_000])
def test_the_token_budget_does_not_change_the_gradient(
    budget: int, plain: Plain, model_dir: Path
) -> None:
    actual, _ = run_here(model_dir, token_budget=budget)
    assert_same(actual, plain("ppo"), 2e-6)


def test_gradient_checkpointing_gives_the_same_bits(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    passes = []
    forward = LlamaDecoderLayer.forward
    monkeypatch.setattr(
        LlamaDecoderLayer, "forward", lambda *a, **k: passes.append(1) or forward(*a, **k)
    )
    kept, _ = run_fresh(model_dir)
    once = len(passes)
    recomputed, metrics = run_fresh(model_dir, gradient_checkpointing=True)
    assert len(passes) - once > 1.3 * once, "blocks were computed again"
    assert_same(recomputed, kept, 0.0)
    assert metrics["ratio_max_deviation_first_minibatch"] == 0.0


@pytest.mark.parametrize(
    "zero",
    [
        {"stage": 1, "offload_optimizer": True},
        {"stage": 2, "offload_optimizer": True},
        {"stage": 3, "offload_optimizer": True},
        {"stage": 3, "offload_optimizer": True, "offload_parameters": True},
    ],
    ids=str,
)
def test_offloading_matches_plain_pytorch(zero: dict, plain: Plain, model_dir: Path) -> None:
    actual, _ = run_here(model_dir, zero=zero)
    assert_same(actual, plain("ppo"), 2e-6)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_two_ranks_in_every_stage_match_plain_pytorch(
    stage: int, plain: Plain, two_ranks: dict[str, dict]
) -> None:
    assert_same(two_ranks[f"stage-{stage}"], plain("ppo"), 2e-6)


def test_two_ranks_with_other_options_match_plain_pytorch(
    plain: Plain, two_ranks: dict[str, dict]
) -> None:
    for variant in OTHER_OPTIONS:
        assert_same(two_ranks[variant], plain(variant), 4e-6)


def test_two_ranks_report_the_metrics_of_one(model_dir: Path, two_ranks: dict[str, dict]) -> None:
    _, metrics = run_here(model_dir)
    for name, value in metrics.items():
        if not name.startswith(("seconds", "idle")):
            actual = two_ranks["stage-2"]["metrics"][name]
            assert actual == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_a_rank_without_samples_changes_nothing(
    model_dir: Path, two_ranks: dict[str, dict]
) -> None:
    expected, _ = run_here(model_dir, **ONE_SAMPLE_A_STEP)
    assert_same(two_ranks["one sample a step"], expected, 2e-6)


def test_two_ranks_that_score_while_learning_match_one_that_learns_sample_by_sample(
    model_dir: Path, two_ranks: dict[str, dict]
) -> None:
    alone = {"token_budget": 1, "zero": {"stage": 0}}
    expected, metrics = run_here(model_dir, **{**ONE_STEP_AN_UPDATE, **alone})
    actual = two_ranks["one step an update"]
    assert_same(actual, expected, 2e-6)
    for name, value in metrics.items():
        if not name.startswith(("seconds", "idle")):
            assert actual["metrics"][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_stage_3_exports_in_bounded_buckets_on_every_rank(two_ranks: dict[str, dict]) -> None:
    """A rank never holds more than its own part and one bucket, and all yield the same order."""
    ranks = two_ranks["stage-3"]["export"]
    assert len(ranks) == 2
    assert ranks[0]["names"] == ranks[1]["names"]
    for rank in ranks:
        bucket = EXPORT_BUCKET_MIB * 2**20
        assert rank["whole"] > 3 * bucket, "a bucket is a small part of the weights"
        assert 0 < rank["most"] - rank["before"] <= bucket
        assert rank["after"] == rank["before"], "everything gathered is let go"
