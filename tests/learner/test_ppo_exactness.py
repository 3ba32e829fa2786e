"""The same gradient whatever the micro-batches, ranks and ZeRO stage, and as in plain PyTorch."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch

from learner.config import LearnerConfig
from learner.models.batch import plan_epoch
from learner.ppo import PPOLearner
from learner.trajectory import Trajectory
from tests.learner.conftest import grouped, random_trajectories
from tests.learner.ranks import weights
from tests.learner.reference import ReferencePPO

ROOT = Path(__file__).resolve().parents[2]
UPDATES = (1, 2)
LINEAR = {"lr": 0.3, "betas": (0.0, 0.0), "eps": 1.0, "max_grad_norm": 0.5}
"""With eps far above the gradient AdamW moves by lr * gradient: weights compare as gradients do."""

EXPORT_BUCKET_MIB = 0.04

ONE_SAMPLE_A_STEP = {"minibatch_size": 1, "epochs": 1}


def settings(**changes) -> dict:
    """Two epochs of minibatches that do not divide the batch, with every clip in play."""
    return {
        "policy": LINEAR,
        "critic": LINEAR,
        "epochs": 2,
        "minibatch_size": 4,
        "token_budget": 40,
        "value_clip": 0.05,
        "clip_low": 0.1,
        "clip_high": 0.15,
        "kl_clip": 0.02,
        "logprob_chunk": 7,
        **changes,
    }


VARIANTS = {
    "ppo": {},
    "every option of the loss": {
        "mask_covers": ("policy", "value", "kl"),
        "kl_in": "loss",
        "kl_estimator": "k3",
        "kl_coefficient": 0.3,
        "kl_clip": 5.0,
        "dual_clip": 1.05,
        "entropy_coefficient": 0.2,
        "importance_cap": 1.5,
    },
    "k2 in the reward, fgo over the penalty": {
        "kl_estimator": "k2",
        "kl_coefficient": 0.2,
        "mask_covers": ("kl",),
    },
    "k2 as a loss": {"kl_in": "loss", "kl_estimator": "k2", "kl_coefficient": 0.3, "kl_clip": 5.0},
    "grpo": {"advantage": "grpo", "kl_in": "loss", "kl_estimator": "k3", "kl_clip": 5.0},
    "rloo": {"advantage": "rloo", "kl_coefficient": 0.2},
    "reinforce++": {"advantage": "reinforce++", "kl_estimator": "k3", "mask": "none"},
}
"""Option sets that together switch on everything that the reference knows."""


def batch(seed: int) -> list[Trajectory]:
    """Ten samples of four prompts."""
    return random_trajectories(seed, prompts=4)


def run_here(model_dir: Path, **changes) -> tuple[dict, dict]:
    config = LearnerConfig(**settings(**changes))
    learner = PPOLearner(config, model_dir, 0.8, model_dir.parent / "faults")
    metrics = {}
    for seed in UPDATES:
        metrics = learner.update(grouped(batch(seed)))
    return weights(learner), metrics


def run_ranks(
    out: Path, model_dir: Path, world_size: int, runs: Sequence[dict], status: int = 0
) -> dict[str, dict]:
    """Run `runs` on real ranks (tests.learner.ranks) and return what each wrote; every process must
    end with `status`.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    job = {"world_size": world_size, "port": port, "model_dir": str(model_dir), "out": str(out)}
    (out / "job.json").write_text(json.dumps({**job, "runs": runs}))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "tests.learner.ranks", str(out / "job.json")]
    processes = [
        subprocess.Popen(
            [*command, str(rank)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world_size)
    ]
    try:
        outputs = [process.communicate(timeout=280)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == status, output[-4000:]
    written = {run["name"]: out / f"{run['name']}.pt" for run in runs}
    return {name: torch.load(path) for name, path in written.items() if path.exists()}


def assert_same(found: dict, wanted: dict, tolerance: float) -> None:
    for model in ("policy", "critic"):
        assert found[model].keys() == wanted[model].keys()
        for name, weight in wanted[model].items():
            torch.testing.assert_close(
                found[model][name], weight, atol=tolerance, rtol=tolerance, msg=f"{model} {name}"
            )


@pytest.fixture(scope="module")
def plain(model_dir: Path) -> Callable[[str], dict]:
    """Weights after two updates by plain PyTorch, by name of the variant."""

    @cache
    def weights_of(variant: str) -> dict:
        config = LearnerConfig(**settings(**VARIANTS[variant]))
        reference = ReferencePPO(config, model_dir, 0.8)
        before = {name: w.detach().clone() for name, w in reference.policy.named_parameters()}
        for update, seed in enumerate(UPDATES):
            lengths = [len(t.token_ids) for t in batch(seed)]
            steps = [
                step.samples
                for epoch in range(config.epochs)
                for step in plan_epoch(lengths, 4, 40, 0, 1, f"{config.seed}/{update}/{epoch}")
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
    found, _ = run_here(model_dir, **VARIANTS[variant])
    assert_same(found, plain(variant), 4e-6)


def test_the_variants_differ(plain: Plain) -> None:
    """So that each of them proves something of its own."""
    policies = [plain(variant)["policy"] for variant in VARIANTS]
    for number, one in enumerate(policies):
        for other in policies[number + 1 :]:
            assert max(float((one[name] - other[name]).abs().max()) for name in one) > 1e-4


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_stage_on_one_rank_matches_plain_pytorch(
    stage: int, plain: Plain, model_dir: Path
) -> None:
    found, _ = run_here(model_dir, zero={"stage": stage})
    assert_same(found, plain("ppo"), 2e-6)


@pytest.mark.parametrize("budget", [1, 25, 10_000])
def test_the_micro_batches_do_not_change_the_gradient(
    budget: int, plain: Plain, model_dir: Path
) -> None:
    found, _ = run_here(model_dir, token_budget=budget)
    assert_same(found, plain("ppo"), 2e-6)


def test_checkpointed_gradients_are_the_same_bits(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    passes = []
    forward = LlamaDecoderLayer.forward
    monkeypatch.setattr(
        LlamaDecoderLayer, "forward", lambda *a, **k: passes.append(1) or forward(*a, **k)
    )
    kept, _ = run_here(model_dir)
    once = len(passes)
    recomputed, metrics = run_here(model_dir, gradient_checkpointing=True)
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
    found, _ = run_here(model_dir, zero=zero)
    assert_same(found, plain("ppo"), 2e-6)


@pytest.fixture(scope="module")
def two_ranks(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Weights and metrics after two updates on two real ranks, by name of the run."""
    stages = {
        f"stage-{n}": {"zero": {"stage": n, "export_bucket_mib": EXPORT_BUCKET_MIB}}
        for n in range(4)
    }
    changes = {**stages, "alone": ONE_SAMPLE_A_STEP}
    return run_two_ranks(model_dir, tmp_path_factory, changes)


@pytest.fixture(scope="module")
def two_ranks_options(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The same for three of the variants."""
    chosen = ("every option of the loss", "grpo", "rloo")
    return run_two_ranks(model_dir, tmp_path_factory, {name: VARIANTS[name] for name in chosen})


def run_two_ranks(
    model_dir: Path, tmp_path_factory: pytest.TempPathFactory, changes: dict[str, dict]
) -> dict[str, dict]:
    runs = [
        {"name": name, "config": settings(**change), "updates": UPDATES}
        for name, change in changes.items()
    ]
    return run_ranks(tmp_path_factory.mktemp("two-ranks"), model_dir, 2, runs)


@pytest.mark.integration
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_two_ranks_in_every_stage_match_plain_pytorch(
    stage: int, plain: Plain, two_ranks: dict[str, dict]
) -> None:
    assert_same(two_ranks[f"stage-{stage}"], plain("ppo"), 2e-6)


@pytest.mark.integration
def test_two_ranks_match_plain_pytorch_with_other_options(
    plain: Plain, two_ranks_options: dict[str, dict]
) -> None:
    for variant, found in two_ranks_options.items():
        assert_same(found, plain(variant), 4e-6)


@pytest.mark.integration
def test_two_ranks_report_the_metrics_of_one(model_dir: Path, two_ranks: dict[str, dict]) -> None:
    _, metrics = run_here(model_dir)
    for name, value in metrics.items():
        if not name.startswith(("seconds", "idle")):
            found = two_ranks["stage-2"]["metrics"][name]
            assert found == pytest.approx(value, rel=1e-4, abs=1e-5), name


@pytest.mark.integration
def test_a_rank_without_samples_runs_along(model_dir: Path, two_ranks: dict[str, dict]) -> None:
    wanted, _ = run_here(model_dir, **ONE_SAMPLE_A_STEP)
    assert_same(two_ranks["alone"], wanted, 2e-6)


@pytest.mark.integration
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


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", [2, 3])
def test_six_updates_equal_three_a_kill_and_three_more(
    stage: int, model_dir: Path, tmp_path: Path
) -> None:
    """Weights and every metric of every update, bit for bit; the checkpoint's process was killed
    by the system in the middle of the fourth.
    """
    adam = {"lr": 1e-3}
    config = settings(
        policy=adam, critic=adam, seed=5, zero={"stage": stage}, epochs=1, token_budget=400
    )
    folder = str(tmp_path / "checkpoint")
    whole = {"name": "whole", "config": config, "updates": [1, 2, 3, 4, 5, 6]}
    killed = {**whole, "name": "killed", "save": folder, "save_at": 3, "kill_at": 4}
    resumed = {"name": "resumed", "config": config, "updates": [4, 5, 6], "load": folder}
    straight = run_ranks(tmp_path, model_dir, 1, [whole])["whole"]
    assert run_ranks(tmp_path, model_dir, 1, [killed], status=-signal.SIGKILL) == {}
    again = run_ranks(tmp_path, model_dir, 1, [resumed])["resumed"]
    assert_same(again, straight, 0.0)
    for one, other in zip(straight["history"][3:], again["history"], strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert name.startswith("seconds") or other[name] == value, name
