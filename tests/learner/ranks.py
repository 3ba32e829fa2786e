"""One rank of a learner in a process of its own, for tests that need several or a fresh one.

Usage: python -m tests.learner.ranks JOB.json RANK, with JOB.json holding
    world_size, port, model_dir, out, updates (seeds), runs: [{name, config, load, save}].
Every run's final policy and critic weights and last metrics go to OUT/<name>.pt, written by rank 0.
"""

import json
import sys
from pathlib import Path

import torch


def main(job_file: str, rank: int) -> None:
    from learner.config import LearnerConfig
    from learner.distributed import init_distributed
    from learner.ppo import PPOLearner
    from tests.learner.conftest import random_trajectories

    torch.set_num_threads(1)
    job = json.loads(Path(job_file).read_text())
    init_distributed(rank, job["world_size"], "127.0.0.1", job["port"])
    for run in job["runs"]:
        out = Path(job["out"])
        config = LearnerConfig(**run["config"])
        learner = PPOLearner(config, Path(job["model_dir"]), 0.8, out / "faults")
        if "load" in run:
            learner.load_checkpoint(Path(run["load"]))
        metrics = {}
        for seed in run["updates"]:
            metrics = learner.update(random_trajectories(seed, prompts=4))
        if "save" in run:
            learner.save_checkpoint(Path(run["save"]))
        result = {"metrics": metrics, **weights(learner)}
        if rank == 0:
            torch.save(result, out / f"{run['name']}.pt")


def weights(learner) -> dict[str, dict[str, torch.Tensor]]:
    """Copies of all policy and critic weights."""
    critic = [] if learner._critic is None else learner._critic.named_parameters()
    return {
        "policy": {name: weight.clone() for name, weight in learner.named_weights()},
        "critic": {name: weight.clone() for name, weight in critic},
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
