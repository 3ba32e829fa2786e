"""LearnerWorker, one DeepSpeed rank in a Ray actor, and LearnerGroup, the driver's side of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors.cluster.ray_calls import answers, lost, no_options, reborn
from actors.config import PlacementConfig
from actors.errors import ActorLost, RunFailed
from learner.config import LearnerConfig
from learner.trajectory import TrajectoryGroup

_GRACE_S = 10.0
"""Time in which the death of another rank explains a rank's error [seconds]."""

_BROADCAST_PARTS = 4
"""Parts of a broadcast that have a deadline each: meeting, opening, sending, closing."""


@dataclass(frozen=True)
class BroadcastGroup:
    """The engines of one broadcast and how they are reached."""

    backend: str
    """`gloo` or `nccl`."""
    workers: tuple[Any, ...]
    """Handles of the rollout actors."""
    members: tuple[tuple[str, int], ...]
    """Each worker's name and how often it was started again: together they identify an engine."""
    ranks_per_worker: int
    """Engine processes of one actor."""
    deadline_s: float
    """Longest wait for any of them [seconds]."""

    def __str__(self) -> str:
        return ", ".join(name for name, _ in self.members)


class LearnerWorker:
    """One rank of the learner.

    Lifecycle: `start()` joins the ranks and loads policy, critic and reference; then `update()` and
    `broadcast()` alternate.
    """

    def __init__(self, rank: int, world_size: int, colocated: bool) -> None:
        self.colocated = colocated
        self.rank = rank
        self.world_size = world_size
        self._loaded: Any = None
        self._sender: Any = None
        self._members: tuple[tuple[str, int], ...] = ()
        self._version: int | None = None

    def address(self) -> str:
        """This node's address and a free port: rank 0's is every rank's meeting point."""
        import socket

        with socket.socket() as probe:
            probe.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{probe.getsockname()[1]}"

    def start(
        self, config: LearnerConfig, model_dir: str, temperature: float, faults: str, master: str
    ) -> dict[str, str]:
        """Join the ranks and load the models; returns versions as this process runs them.

        Samples that break an update are written to the folder `faults`.
        """
        import deepspeed
        import torch

        from learner.ppo import PPOLearner
        from learner.zero.distributed import init_distributed

        host, port = master.rsplit(":", 1)
        init_distributed(self.rank, self.world_size, host, int(port))
        self._loaded = PPOLearner(config, Path(model_dir), temperature, Path(faults))
        return {"deepspeed": deepspeed.__version__, "torch": torch.__version__}

    @property
    def _learner(self) -> Any:
        """What `start` loaded.

        Raises:
            ActorLost: Ray has started this process again, and nobody has loaded it since.
        """
        if self._loaded is None:
            raise ActorLost(f"learner-{self.rank} died and holds no weights")
        return self._loaded

    def update(self, groups: Sequence[TrajectoryGroup]) -> dict[str, float]:
        """One PPO update; every rank gets the whole batch and takes its share."""
        metrics = self._learner.update(groups, self._version)
        if self.colocated:
            import torch

            torch.cuda.empty_cache()  # what torch keeps for later is what the engine wakes up in
        return metrics

    def broadcast(self, version: int, group: BroadcastGroup) -> int:
        """Send the policy's weights to the engines of `group` as `version`; returns the bytes.

        The engines are met anew whenever they are not those of the broadcast before.

        Raises:
            RunFailed: an engine was lost or missed the deadline; no engine of the group can be
                trusted to hold whole weights.
        """
        from actors.weights.sender import LearnerSource, open_sender, send

        source = LearnerSource(self._learner)
        try:
            if self._sender is None or self._members != group.members:
                self._sender = None
                self._sender = open_sender(
                    group.backend,
                    group.workers,
                    source,
                    self.rank,
                    group.ranks_per_worker,
                    group.deadline_s,
                )
                self._members = group.members
            self._version = version
            return send(self._sender, version)
        except (RuntimeError, TimeoutError, RayError) as error:
            self._sender = None  # its group is broken: the next engines are met anew
            raise RunFailed(
                f"weight broadcast of version {version} to {group}: {type(error).__name__}: {error}"
            ) from error

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
    """All learner ranks as one: every call goes to all of them and waits with a deadline.

    Every call raises `ActorLost` when a rank dies or does not answer in time, and `RunFailed` when
    it could not do what was asked.
    """

    def __init__(
        self,
        config: LearnerConfig,
        placement: PlacementConfig,
        gpu: bool,
        deadline_s: float,
        options: Callable[[int], dict[str, Any]] = no_options,
    ) -> None:
        """Create the actors.

        Args:
            config: what they learn with.
            placement: how many ranks, and their threads.
            gpu: whether each takes a GPU.
            deadline_s: longest wait for any call [seconds].
            options: further Ray options of rank `i`, such as where it is placed.
        """
        self.config = config
        self.deadline_s = deadline_s
        actor = ray.remote(LearnerWorker)
        self.workers: list[Any] = [
            actor.options(
                **{
                    "name": f"learner-{rank}",
                    "num_cpus": 1,
                    "num_gpus": 1 if gpu else 0,
                    "max_restarts": -1,
                    "runtime_env": {"env_vars": learner_env(placement.learner_threads, gpu)},
                }
                | options(rank)
            ).remote(rank, placement.learner_ranks, placement.colocate)
            for rank in range(placement.learner_ranks)
        ]

    async def start(
        self, model_dir: Path, temperature: float, faults: Path
    ) -> list[dict[str, str]]:
        """Load on every rank; returns the versions each runs. Samples that break an update are
        written to the folder `faults`.
        """
        self._started_with = (model_dir, temperature, faults)
        master = await self._wait("address", [self.workers[0].address.remote()])
        words = (str(model_dir), temperature, str(faults), master[0])
        return await self._all("start", self.config, *words)

    async def restart(self) -> None:
        """End every rank, the living ones too, and load them all again from the first model.

        One lost rank takes the others with it: they may be waiting for it inside a collective.
        """
        for worker in self.workers:
            ray.kill(worker, no_restart=False)
        await asyncio.gather(
            *(reborn("learner: restart", w.address.remote, self.deadline_s) for w in self.workers)
        )
        await self.start(*self._started_with)

    async def update(self, groups: Sequence[TrajectoryGroup]) -> dict[str, float]:
        """One PPO update; the metrics are rank 0's, already reduced over ranks."""
        return (await self._all("update", ray.put(groups)))[0]

    async def broadcast(self, version: int, group: BroadcastGroup) -> int:
        """Send the policy's weights to the engines of `group`; returns the bytes of one copy.

        Raises `ActorLost` also where a transport that knows no deadline hangs.
        """
        deadline_s = min(self.deadline_s, _BROADCAST_PARTS * group.deadline_s + _GRACE_S)
        calls = [worker.broadcast.remote(version, group) for worker in self.workers]
        return (await self._wait("broadcast", calls, deadline_s))[0]

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

    async def _wait(
        self, method: str, calls: list[Any], deadline_s: float | None = None
    ) -> list[Any]:
        try:
            return await answers(f"learner: {method}", calls, deadline_s or self.deadline_s)
        except TimeoutError as error:
            raise ActorLost(str(error)) from error
        except ActorLost:
            raise
        except (RayTaskError, RunFailed):
            # A collective fails on the living ranks before Ray has noticed which one died.
            if len(calls) > 1 and (gone := await lost(f"learner: {method}", calls, _GRACE_S)):
                raise gone from None
            raise


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
