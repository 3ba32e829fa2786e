"""LearnerWorker, one DeepSpeed rank in a Ray actor, and LearnerGroup, the driver's side of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from actors.calls import answers
from actors.config import PlacementConfig
from learner.config import LearnerConfig
from learner.trajectory import Trajectory


class LearnerWorker:
    """One rank of the learner.

    Lifecycle: `start()` joins the ranks and loads policy, critic and reference; `connect()` joins
    the rollout fleet's broadcast group; then `update()` and `broadcast()` alternate.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank = rank
        self.world_size = world_size
        self._learner: Any = None
        self._sender: Any = None

    def address(self) -> str:
        """This node's address and a free port: rank 0's is every rank's meeting point."""
        import socket

        with socket.socket() as probe:
            probe.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{probe.getsockname()[1]}"

    def start(
        self, config: LearnerConfig, model_dir: str, temperature: float, master: str
    ) -> dict[str, str]:
        """Join the ranks and load the models; returns versions as this process runs them."""
        import deepspeed
        import torch

        from learner.distributed import init_distributed
        from learner.ppo import PPOLearner

        host, port = master.rsplit(":", 1)
        init_distributed(self.rank, self.world_size, host, int(port))
        self._learner = PPOLearner(config, Path(model_dir), rollout_temperature=temperature)
        return {"deepspeed": deepspeed.__version__, "torch": torch.__version__}

    def connect(self, backend: str, workers: Sequence[Any], ranks_per_worker: int) -> None:
        """Join the broadcast group of these rollout workers."""
        from actors.rollout_broadcast import LearnerSource, open_sender

        source = LearnerSource(self._learner)
        self._sender = open_sender(backend, workers, source, self.rank, ranks_per_worker)

    def update(self, trajectories: list[Trajectory]) -> dict[str, float]:
        """One PPO update; every rank gets the whole batch and takes its share."""
        return self._learner.update(trajectories)

    def broadcast(self, version: int) -> None:
        """Send the policy's weights to the fleet as `version`."""
        self._sender.client.version = version
        self._sender.send_weights()

    def token_logprobs(self, sequences: list[list[int]]) -> list[list[float]]:
        """Log-probability of each token from the second on: the learner's half of the probe."""
        return self._learner.token_logprobs(sequences)

    def save_checkpoint(self, folder: str) -> None:
        """Write this rank's part of a checkpoint."""
        self._learner.save_checkpoint(Path(folder))

    def load_checkpoint(self, folder: str) -> None:
        """Continue from a checkpoint."""
        self._learner.load_checkpoint(Path(folder))

    def save_pretrained(self, folder: str) -> None:
        """Write the policy as a Hugging Face folder."""
        self._learner.save_pretrained(Path(folder))


class LearnerGroup:
    """All learner ranks as one: every call goes to all of them and waits with a deadline."""

    def __init__(
        self, config: LearnerConfig, placement: PlacementConfig, gpu: bool, deadline_s: float
    ) -> None:
        self.config = config
        self.deadline_s = deadline_s
        actor = ray.remote(LearnerWorker)
        self.workers = [
            actor.options(
                name=f"learner-{rank}",
                num_cpus=1,
                num_gpus=1 if gpu else 0,
                max_restarts=0,
                runtime_env={"env_vars": learner_env(placement.learner_threads, gpu)},
            ).remote(rank, placement.learner_ranks)
            for rank in range(placement.learner_ranks)
        ]

    async def start(self, model_dir: Path, temperature: float) -> list[dict[str, str]]:
        """Load on every rank; returns the versions each runs."""
        master = await self._wait("address", [self.workers[0].address.remote()])
        return await self._all("start", self.config, str(model_dir), temperature, master[0])

    async def connect(self, backend: str, workers: Sequence[Any], ranks_per_worker: int) -> None:
        """Join the rollout fleet's broadcast group."""
        await self._all("connect", backend, list(workers), ranks_per_worker)

    async def update(self, trajectories: list[Trajectory]) -> dict[str, float]:
        """One PPO update; the metrics are rank 0's, already reduced over ranks."""
        return (await self._all("update", ray.put(trajectories)))[0]

    async def broadcast(self, version: int) -> None:
        """Send the policy's weights to the whole fleet."""
        await self._all("broadcast", version)

    async def token_logprobs(self, sequences: list[list[int]]) -> list[list[float]]:
        """The learner's log-probabilities of these sequences' tokens."""
        return (await self._all("token_logprobs", sequences))[0]

    async def save_checkpoint(self, folder: Path) -> None:
        """Write every rank's part of a checkpoint into `folder`."""
        await self._all("save_checkpoint", str(folder))

    async def load_checkpoint(self, folder: Path) -> None:
        """Continue every rank from `folder`."""
        await self._all("load_checkpoint", str(folder))

    async def save_pretrained(self, folder: Path) -> None:
        """Write the policy as a Hugging Face folder."""
        await self._all("save_pretrained", str(folder))

    async def _all(self, method: str, *arguments: Any) -> list[Any]:
        calls = [getattr(worker, method).remote(*arguments) for worker in self.workers]
        return await self._wait(method, calls)

    async def _wait(self, method: str, calls: list[Any]) -> list[Any]:
        return await answers(f"learner: {method}", calls, self.deadline_s)


def learner_env(threads: int, gpu: bool) -> dict[str, str]:
    """Environment of a learner process, set before torch is imported."""
    env = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    if gpu:
        return env
    # A DeepSpeed JIT build or a spinning OpenMP thread would cost more than the whole update.
    cpu = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    return env | cpu
