"""One rank of a learner in a process of its own, for tests that need several or a fresh one.

Usage: python -m tests.learner.ranks JOB.json RANK, where JOB.json holds
    world_size, port, model_dir, out, runs: [{name, config, updates (seeds), load, save, save_at,
    kill_at}].
For every run rank 0 writes OUT/<name>.pt: final weights of policy and critic, the metrics of every
update, and the bytes that each rank held while it exported the weights. `save` is a folder;
`save_at` is the update after which it is written (by default the last), and `kill_at` the update in
the middle of which the process is killed.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch


def main(job_file: str, rank: int) -> None:
    from learner.config import LearnerConfig
    from learner.ppo import PPOLearner
    from learner.zero.distributed import init_distributed
    from tests.learner.samples import grouped, random_trajectories, with_endings

    def batch(seed: int) -> list:
        return with_endings(random_trajectories(seed, prompts=4))

    torch.set_num_threads(1)
    job = json.loads(Path(job_file).read_text())
    init_distributed(rank, job["world_size"], "127.0.0.1", job["port"])
    for run in job["runs"]:
        out = Path(job["out"])
        config = LearnerConfig(**run["config"])
        learner = PPOLearner(config, Path(job["model_dir"]), 0.8, out / "faults")
        if "load" in run:
            learner.load_checkpoint(Path(run["load"]))
        history = []
        export = measured_export(learner)
        for seed in run["updates"]:
            if seed == run.get("kill_at"):
                kill_before_the_next_step(learner)
            history.append(learner.update(grouped(batch(seed))))
            if "save" in run and seed == run.get("save_at", run["updates"][-1]):
                learner.save_checkpoint(Path(run["save"]))
        result = {
            "metrics": history[-1],
            "history": history,
            "export": export,
            "reference": reference_bytes(learner),
            **weights(learner),
        }
        if rank == 0:
            torch.save(result, out / f"{run['name']}.pt")


def kill_before_the_next_step(learner) -> None:
    """Kill this process in its next step: gradients are computed, and no weight is changed."""
    learner._critic.step = lambda lr: os.kill(os.getpid(), signal.SIGKILL)


def measured_export(learner) -> list[dict[str, int | list[str]]]:
    """Of each rank: names in the order of export, bytes of all weights, and the most bytes of
    parameters that it held during the export, before and after.
    """

    def held() -> int:
        parameters = list(learner._policy.module.parameters())
        return sum(p.numel() * p.element_size() for p in parameters)

    before, most, whole, names = held(), 0, 0, []
    for name, weight in learner.named_weights():
        most = max(most, held())
        whole += weight.numel() * weight.element_size()
        names.append(name)
    everywhere: list = [None] * torch.distributed.get_world_size()
    mine = {"names": names, "whole": whole, "most": most, "before": before, "after": held()}
    torch.distributed.all_gather_object(everywhere, mine)
    return everywhere


def reference_bytes(learner) -> list[int]:
    """Bytes of the reference that each rank holds; empty without a reference."""
    if learner._reference is None:
        return []
    everywhere: list = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everywhere, learner._reference.held_bytes())
    return everywhere


def weights(learner) -> dict[str, dict[str, torch.Tensor]]:
    """Copies of all policy and critic weights."""
    critic = [] if learner._critic is None else learner._critic.named_parameters()
    return {
        "policy": {name: weight.clone() for name, weight in learner.named_weights()},
        "critic": {name: weight.clone() for name, weight in critic},
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
