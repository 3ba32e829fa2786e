"""RolloutFleet: the driver's side of all rollout engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import ray
from ray.exceptions import RayError

from actors.cluster.memory import MemoryWatch
from actors.cluster.ray_calls import gather, no_options
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.engine_env import engine_env
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.supervisor import Supervisor
from actors.rollout.worker import RolloutWorker
from learner.models.source import ModelSource


class RolloutFleet:
    """The driver's side of all rollout workers: their creation, and a `Supervisor` over them.

    The supervisor keeps the engines alive and knows which of them hold the current weights.
    Collectors (`actors/collectors`) have them generate. All methods belong to one event loop.

    Example:
        fleet = RolloutFleet.create(config, gpu=False, on_engine_loaded=sync.update_engine)
        await fleet.start(ModelSource(folder), "gloo")
        await sync.push(fleet, version=1)
        async with fleet.heartbeat():
            ...
        await fleet.stop()
    """

    def __init__(
        self,
        engines: Sequence[EngineHandle],
        config: RolloutConfig,
        gpu: bool,
        colocated: bool = False,
        on_engine_loaded: Callable[[RolloutFleet, EngineHandle], Awaitable[None]] | None = None,
        memory: MemoryWatch | None = None,
    ) -> None:
        """Take charge of `engines`; `create` makes them.

        Args:
            engines: handles of actors that exist and have loaded no model yet.
            config: how they sample, and the deadlines.
            gpu: whether engines run on GPUs.
            colocated: whether engines share the learner's GPUs, so that `sleep` frees memory.
            on_engine_loaded: brings an engine that was restarted to the current weights.
            memory: tells which engines were killed for want of memory.
        """
        self.config = config
        self.gpu = gpu

        async def update(engine: EngineHandle) -> None:
            if on_engine_loaded is not None:
                await on_engine_loaded(self, engine)

        self.supervisor = Supervisor(engines, config, colocated, update, memory)

    @classmethod
    def create(
        cls,
        config: RolloutConfig,
        gpu: bool,
        options: Callable[[int], dict[str, Any]] = no_options,
        worker: type[RolloutWorker] = RolloutWorker,
        colocated: bool = False,
        on_engine_loaded: Callable[[RolloutFleet, EngineHandle], Awaitable[None]] | None = None,
        run: str = "",
    ) -> RolloutFleet:
        """Create the actors (named `rollout-0`, ...); they load the model on `start()`.

        Args:
            config: how many, and how they sample.
            gpu: whether engines run on GPUs.
            options: further Ray options of worker `i`, such as its placement.
            worker: class of the actors.
            colocated: as for `__init__`.
            on_engine_loaded: as for `__init__`.
            run: the run's name, under which engines export their own figures; without it they keep
                none.
        """
        actor = ray.remote(worker)
        env = engine_env(config, gpu, colocated)
        engines = []
        for i in range(config.workers):
            name = f"rollout-{i}"
            settings = {
                "name": name,
                "num_cpus": config.threads,
                "num_gpus": config.tensor_parallel if gpu else 0,
                "max_restarts": -1,
                # Every stream and every control call is a call under way; none may queue up.
                "max_concurrency": 4096,
                "runtime_env": {"env_vars": env},
            } | options(i)
            engines.append(EngineHandle(name, actor.options(**settings).remote(config, name, run)))
        return cls(engines, config, gpu, colocated, on_engine_loaded, MemoryWatch())

    async def start(self, model: ModelSource, weights_backend: str) -> list[dict[str, str]]:
        """Load every engine; returns the versions of packages that each runs.

        Raises:
            RunFailed: an engine could not load the model.
            TimeoutError: not all loaded within `rollout.start_timeout_s`.
        """
        return await self.supervisor.start(model, weights_backend, self.gpu)

    async def stop(self) -> None:
        """Shut the engines down and end their actors; waits at most 20 s."""
        await self.supervisor.stop()

    def heartbeat(self) -> AbstractAsyncContextManager[None]:
        """While inside, check every engine each `rollout.heartbeat_s`, and restart dead ones."""
        return self.supervisor.heartbeat()

    @property
    def engines(self) -> tuple[EngineHandle, ...]:
        """Every engine, whatever its state."""
        return self.supervisor.engines

    @property
    def version(self) -> int:
        """Weights that every new completion must be generated with."""
        return self.supervisor.version

    @property
    def restarts(self) -> int:
        """Engines restarted so far."""
        return self.supervisor.restarts

    @property
    def colocated(self) -> bool:
        """Whether engines share the learner's GPUs."""
        return self.supervisor.colocated

    async def prompt_logprobs(
        self, sequences: list[list[int]], deadline_s: float
    ) -> dict[str, list[list[float]]]:
        """The log-probabilities of these sequences' tokens [nats], from each ready engine by name.

        An engine that fails is restarted and left out; at least one answer is waited for.

        Raises:
            TimeoutError: no engine answered within `deadline_s` seconds.
            RunFailed: no engine is left.
        """
        logprobs: dict[str, list[list[float]]] = {}
        supervisor = self.supervisor

        async def ask(engine: EngineHandle) -> None:
            incarnation = engine.incarnation
            try:
                call = engine.actor.prompt_logprobs.remote(sequences)
                [logprobs[engine.name]] = await gather(engine.name, [call], deadline_s)
            except (RunFailed, RayError) as error:
                supervisor.replace(engine, incarnation, error)

        async with asyncio.timeout(deadline_s):
            while not logprobs:
                if not supervisor.ready():
                    await supervisor.wait_for_change()
                await asyncio.gather(*map(ask, supervisor.ready()))
        return logprobs

    async def sleep(self) -> None:
        """Have every engine give its memory to the learner until `wake_up`, where they share GPUs.

        No completion may be under way.
        """
        await self.supervisor.sleep()

    async def wake_up(self) -> None:
        """Wake every engine that sleeps."""
        await self.supervisor.wake_up()
