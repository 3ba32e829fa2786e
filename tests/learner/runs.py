"""Learners for tests: one in this process, or real ranks in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from actors.cluster.ports import free_port
from learner.config import CriticOptimizerConfig, LearnerConfig, OptimizerConfig
from learner.ppo import PPOLearner
from learner.trajectory import Trajectory
from tests.learner.ranks import weights
from tests.learner.samples import grouped, random_trajectories, with_endings

ROOT = Path(__file__).resolve().parents[2]
UPDATES = (1, 2)
LINEAR = {
    "lr": 0.3,
    "betas": (0.0, 0.0),
    "eps": 1.0,
    "max_grad_norm": 0.5,
    "weight_decay": 0.1,
}
LINEAR_CRITIC = {**LINEAR, "head_lr": 0.2}
"""With eps far above the gradient AdamW moves by lr * gradient: weights compare as gradients do."""

EXPORT_BUCKET_MIB = 0.04

ONE_SAMPLE_A_STEP = {"minibatch_size": 1, "epochs": 1}

ONE_STEP_AN_UPDATE = {
    "advantage": "rloo",
    "kl_coefficient": 0.0,
    "importance_cap": 1.5,
    "epochs": 1,
    "minibatch_size": 100,
    "zero": {"stage": 3},
}
"""No sample is scored by a pass of its own."""

LORA = {"rank": 4, "alpha": 8}

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
    "dr_grpo and dapo's terms": {
        "advantage": "dr_grpo",
        "normalisation": "constant",
        "truncated": "penalise",
        "overlong_share": 0.7,
        "cut_away": "learn",
        "kl_coefficient": 0.0,
        "entropy_coefficient": 0.1,
    },
    "grpo by sequence": {
        "advantage": "grpo",
        "normalisation": "sequence",
        "truncated": "learn",
        "kl_in": "loss",
        "kl_estimator": "k3",
        "kl_coefficient": 0.3,
        "kl_clip": 5.0,
        "mask_covers": ("policy", "kl"),
        "entropy_coefficient": 0.2,
        "importance_cap": 1.5,
    },
    "gspo": {
        "advantage": "rloo",
        "loss": "gspo",
        "normalisation": "sequence",
        "clip_low": 0.03,
        "clip_high": 0.04,
    },
    "gspo with advantages of tokens": {
        "loss": "gspo",
        "normalisation": "sequence",
        "importance_cap": 1.5,
    },
    "cispo": {"advantage": "grpo", "loss": "cispo", "clip_low": 1.0, "kl_coefficient": 0.0},
    "reinforce++": {"advantage": "reinforce++", "kl_estimator": "k3", "mask": "none"},
}
"""Option sets that together switch on everything that the reference knows."""

OTHER_OPTIONS = (
    "every option of the loss",
    "grpo",
    "rloo",
    "dr_grpo and dapo's terms",
    "grpo by sequence",
    "gspo",
)
"""Option sets that two ranks are tried with."""


def new_learner(
    model_dir: Path, faults: Path | None = None, temperature: float = 1.0, **changes
) -> PPOLearner:
    rates = {"policy": OptimizerConfig(lr=1e-3), "critic": CriticOptimizerConfig(lr=1e-3)}
    config = LearnerConfig(**{**rates, "minibatch_size": 4, **changes})
    return PPOLearner(config, model_dir, temperature, faults or model_dir.parent / "faults")


def same(before: dict, after: dict) -> bool:
    assert before.keys() == after.keys() != set()
    return all(torch.equal(before[name], after[name]) for name in before)


def settings(**changes) -> dict:
    """Two epochs of minibatches that do not divide the batch, with every clip in play, weight decay
    and a learning rate that falls from update to update.
    """
    return {
        "policy": LINEAR,
        "critic": LINEAR_CRITIC,
        "lr_schedule": {"kind": "linear", "updates": 4},
        "epochs": 2,
        "minibatch_size": 4,
        "token_budget": 40,
        "value_clip": 0.05,
        "clip_low": 0.1,
        "clip_high": 0.15,
        "kl_clip": 0.02,
        "logprob_chunk": 7,
        "max_response_tokens": 17,
        **changes,
    }


def batch(seed: int) -> list[Trajectory]:
    """Ten samples of four prompts."""
    return with_endings(random_trajectories(seed, prompts=4))


def run_here(model_dir: Path, **changes) -> tuple[dict, dict]:
    """As `run_fresh`, but the same run is made only once."""
    return _remembered_run(model_dir, json.dumps(changes))


@cache
def _remembered_run(model_dir: Path, changes: str) -> tuple[dict, dict]:
    return run_fresh(model_dir, **json.loads(changes))


def run_fresh(model_dir: Path, **changes) -> tuple[dict, dict]:
    """Weights and metrics after two updates on one rank in this process."""
    config = LearnerConfig(**settings(**changes))
    learner = PPOLearner(config, model_dir, 0.8, model_dir.parent / "faults")
    metrics = {}
    for seed in UPDATES:
        metrics = learner.update(grouped(batch(seed)))
    return weights(learner), metrics


def run_ranks(
    out: Path, model_dir: Path, world_size: int, runs: Sequence[dict], status: int = 0
) -> dict[str, dict]:
    """Run `runs` on real ranks (tests.learner.ranks) and return what each wrote.

    Every process must end with exit status `status`.
    """
    common = {"world_size": world_size, "model_dir": str(model_dir), "out": str(out)}
    (out / "job.json").write_text(json.dumps({**common, "port": free_port(), "runs": runs}))
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
        outputs = [process.communicate(timeout=580)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == status, output[-4000:]
    written = {run["name"]: out / f"{run['name']}.pt" for run in runs}
    return {name: torch.load(path) for name, path in written.items() if path.exists()}


def assert_same(actual: dict, expected: dict, tolerance: float) -> None:
    for model in ("policy", "critic"):
        assert actual[model].keys() == expected[model].keys()
        for name, weight in expected[model].items():
            torch.testing.assert_close(
                actual[model][name], weight, atol=tolerance, rtol=tolerance, msg=f"{model} {name}"
            )
