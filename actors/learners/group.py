"""LearnerGroup: all learner ranks as one learner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from actors.cluster.memory import MemoryWatch
from actors.cluster.ray_calls import find_dead_actor, gather, no_options, wait_until_restarted
from actors.config import PlacementConfig
from actors.errors import ActorLost, RunFailed
from actors.learners.worker import LearnerWorker, learner_env
from actors.weights.targets import BroadcastTargets
from learner.config import LearnerConfig
from learner.models.source import ModelSource
from learner.plan.shares import split
from learner.trajectory import PackedGroup

_DEATH_REPORT_S = 10.0
"""Time in which Ray reports the death of a rank that made another rank fail [seconds]."""

_CHECKPOINT_KEY = "loop.checkpoint_timeout_s"
_BROADCAST_KEYS = "weights.timeout_s, loop.step_timeout_s"
_LOOKS_S = (0.05, 0.5)
"""Time between two looks at a checkpoint that is being written: at first, and at most [seconds]."""

_BROADCAST_PARTS = 4
"""Parts of a broadcast with a deadline each: rendezvous, opening, sending, closing."""


class LearnerGroup:
    """The driver's side of all learner ranks: every call goes to each of them, with a deadline.

    Every call raises `ActorLost` when a rank dies or does not answer in time, and `RunFailed` when
    a rank could not do what was asked.

    Lifecycle: `create()` makes the actors, `start()` loads the models, `restart()` replaces every
    rank after `ActorLost`, `stop()` ends the actors.
    """

    def __init__(
        self,
        workers: Sequence[Any],
        config: LearnerConfig,
        deadline_s: float,
        checkpoint_s: float | None = None,
    ) -> None:
        """Take charge of `workers`, one handle for each rank; `create` makes them."""
        self.workers = list(workers)
        self.config = config
        self.deadline_s = deadline_s
        self.checkpoint_s = checkpoint_s or deadline_s
        self._memory = MemoryWatch()
        self._updates = 0
        """Updates since the start of the run, as the ranks count them: the plan depends on it."""
        self._start_arguments: tuple[ModelSource, float, Path] | None = None

    @classmethod
    def create(
        cls,
        config: LearnerConfig,
        placement: PlacementConfig,
        gpu: bool,
        deadline_s: float,
        options: Callable[[int], dict[str, Any]] = no_options,
        hands_over: bool = False,
        checkpoint_s: float | None = None,
    ) -> LearnerGroup:
        """Create the actors (named `learner-0`, ...); they load their models on `start()`.

        Args:
            config: what they learn with.
            placement: how many ranks, and their threads.
            gpu: whether each takes a GPU.
            deadline_s: longest wait for any call but those about files [seconds].
            options: further Ray options of rank `i`, such as its placement.
            hands_over: as for `LearnerWorker`.
            checkpoint_s: longest wait for a checkpoint or a policy to be written or read
                [seconds]; None is `deadline_s`.
        """
        actor = ray.remote(LearnerWorker)
        env = learner_env(placement.learner_threads, gpu)
        workers = []
        for rank in range(placement.learner_ranks):
            settings = {
                "name": f"learner-{rank}",
                "num_cpus": 1,
                "num_gpus": 1 if gpu else 0,
                "max_restarts": -1,
                "runtime_env": {"env_vars": env},
            } | options(rank)
            handle = actor.options(**settings)
            colocated = bool(placement.colocate)
            workers.append(handle.remote(rank, placement.learner_ranks, colocated, hands_over))
        return cls(workers, config, deadline_s, checkpoint_s)

    async def start(
        self, model: ModelSource, temperature: float, faults: Path
    ) -> list[dict[str, str]]:
        """Load the models on every rank; returns the versions of packages that each runs.

        Args:
            model: what policy, critic and reference start from.
            temperature: of the sampling.
            faults: folder for the samples of an update that became non-finite.
        """
        self._start_arguments = (model, temperature, faults)
        self._updates = 0
        [master] = await self._wait("address", [self.workers[0].address.remote()])
        versions = await self._all("start", self.config, model, temperature, str(faults), master)
        for rank, worker in enumerate(self.workers):
            await self._memory.watch(f"learner-{rank}", worker)
        return versions

    async def restart(self) -> None:
        """Restart every rank and load the first model again; a checkpoint has to follow.

        The living ranks are killed too: they may be blocked in a collective with the dead one.
        Raises `RunFailed` where a rank was killed for want of memory for the second time in a row.
        """
        assert self._start_arguments is not None, "restart() before start()"
        for rank in range(len(self.workers)):
            await self._memory.check(f"learner-{rank}")
        for worker in self.workers:
            ray.kill(worker, no_restart=False)
        await asyncio.gather(
            *(
                wait_until_restarted("learner: restart", worker.address.remote, self.deadline_s)
                for worker in self.workers
            )
        )
        await self.start(*self._start_arguments)

    async def stop(self) -> None:
        """End every rank at once; what is not in a checkpoint is lost."""
        for worker in self.workers:
            ray.kill(worker)

    async def update(
        self, groups: Sequence[PackedGroup], record: Collection[int] = ()
    ) -> tuple[dict[str, float], bytes]:
        """One PPO update. Each rank is sent the tokens that it learns from, and no others.

        Args:
            groups: the batch.
            record: ids of samples whose tokens' values are wanted.

        Returns:
            Rank 0's metrics, already reduced over ranks, and the values of the tokens of the
            samples `record`, packed (`learner.algorithm.token_values`).
        """
        facts, shares = await asyncio.to_thread(
            split, groups, self.config, self._updates, len(self.workers)
        )
        told, record = ray.put(facts), tuple(record)
        calls = [
            worker.update.remote(told, ray.put(share), record)
            for worker, share in zip(self.workers, shares, strict=True)
        ]
        results = await self._wait("update", calls)
        self._updates += 1
        return results[0]

    async def broadcast(self, version: int, targets: BroadcastTargets) -> int:
        """Send the policy's weights to the engines of `targets`; returns the bytes of one copy.

        Raises `ActorLost` also where the transport hangs: NCCL has no deadline of its own.
        """
        deadline_s = min(self.deadline_s, _BROADCAST_PARTS * targets.deadline_s + _DEATH_REPORT_S)
        calls = [worker.broadcast.remote(version, targets) for worker in self.workers]
        return (await self._wait("broadcast", calls, deadline_s, _BROADCAST_KEYS))[0]

    async def token_logprobs(self, sequences: list[list[int]]) -> list[list[float]]:
        """The learner's log-probabilities of these sequences' tokens."""
        return (await self._all("token_logprobs", sequences))[0]

    async def begin_checkpoint(
        self, folder: Path, policy: Path | None, background: bool = True
    ) -> None:
        """Have every rank begin to write its part of a checkpoint into `folder`.

        Args:
            folder: of the learner's part.
            policy: where the policy is written as a Hugging Face folder, if anywhere.
            background: whether the ranks write copies while they go on; else they have written when
                this returns.
        """
        arguments = (str(folder), policy and str(policy), background)
        calls = [worker.begin_checkpoint.remote(*arguments) for worker in self.workers]
        await self._wait("begin_checkpoint", calls, self.checkpoint_s, _CHECKPOINT_KEY)

    async def checkpoint_written(self) -> None:
        """Wait until the checkpoint that was begun is written."""
        deadline = time.monotonic() + self.checkpoint_s
        look_s, longest_s = _LOOKS_S
        while True:
            late = time.monotonic() > deadline  # a rank answers between two of its other calls
            if all(await self._all("checkpoint_written")):
                return
            if late:
                raise ActorLost(
                    f"learner: the checkpoint was not written within {self.checkpoint_s:g} s "
                    f"({_CHECKPOINT_KEY})"
                )
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, longest_s)

    async def load_checkpoint(self, folder: Path) -> None:
        """Continue every rank from `folder`."""
        self._updates = (await self._file("load_checkpoint", folder))[0]

    async def save_pretrained(self, folder: Path) -> None:
        """Write the policy as a Hugging Face folder."""
        await self._file("save_pretrained", folder)

    async def _file(self, method: str, folder: Path) -> list[Any]:
        calls = [getattr(worker, method).remote(str(folder)) for worker in self.workers]
        return await self._wait(method, calls, self.checkpoint_s, _CHECKPOINT_KEY)

    async def _all(self, method: str, *arguments: Any) -> list[Any]:
        calls = [getattr(worker, method).remote(*arguments) for worker in self.workers]
        return await self._wait(method, calls)

    async def _wait(
        self,
        method: str,
        calls: list[Any],
        deadline_s: float | None = None,
        key: str = "loop.step_timeout_s",
    ) -> list[Any]:
        try:
            return await gather(f"learner: {method}", calls, deadline_s or self.deadline_s, key)
        except TimeoutError as error:
            raise ActorLost(str(error)) from error
        except ActorLost:
            raise
        except (RayTaskError, RunFailed):
            # A collective fails on the living ranks before Ray has noticed which one died.
            if len(calls) > 1:
                what = f"learner: {method}"
                if death := await find_dead_actor(what, calls, _DEATH_REPORT_S):
                    raise death from None
            raise
