"""WeightSync: brings the fleet to the learner's weights, and every engine that was restarted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actors.config import WeightsConfig
from actors.errors import ActorLost, RunFailed
from actors.learners.group import LearnerGroup
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.fleet import RolloutFleet
from actors.weights.targets import BroadcastTargets

_FAILED_BROADCASTS = 3
"""Broadcasts in a row that may fail before the run ends: dead engines alone do not explain them."""


class WeightSync:
    """Runs one broadcast at a time, from the learner to the engines that answer.

    A broadcast that fails leaves its engines with half an update, so each of them is restarted and
    updated alone. Engines outside that broadcast go on generating.

    The fleet is an argument, not a part: it is made with `update_engine` as its
    `on_engine_loaded`, and so after this.
    """

    def __init__(self, learner: LearnerGroup, config: WeightsConfig, backend: str) -> None:
        """Prepare for broadcasts.

        Args:
            learner: whose weights are sent.
            config: the deadline of each broadcast.
            backend: the transport: `gloo`, `nccl` or `ipc`.
        """
        self.learner = learner
        self.config = config
        self.backend = backend
        self.bytes = 0
        """Size of one copy of the weights, known after the first broadcast [bytes]."""
        self.seconds = 0.0
        """Duration of the last `push` [seconds]."""
        self._lock = asyncio.Lock()
        self._failures = 0

    async def push(self, fleet: RolloutFleet, version: int) -> None:
        """Broadcast the learner's weights as `version`, which every engine must hold from now on.

        Returns when at least one engine holds them.

        Raises:
            ActorLost: the learner is gone.
            RunFailed: broadcasts fail again and again, or no engine was restarted in time.
        """
        started = time.monotonic()
        supervisor = fleet.supervisor
        async with self._lock:
            supervisor.forget_learner_loss()
            await supervisor.wake_up()
            # An engine that died since the last broadcast would make this one fail for the others.
            await supervisor.check()
            supervisor.expect(version)
            await self._broadcast(fleet, supervisor.loaded())
        try:
            async with asyncio.timeout(fleet.config.start_timeout_s):
                while not supervisor.ready():
                    await supervisor.wait_for_change()
        except TimeoutError:
            raise RunFailed(
                f"weights: no rollout engine took version {version} within "
                f"{fleet.config.start_timeout_s:g} s (rollout.start_timeout_s)"
            ) from None
        self.seconds = time.monotonic() - started

    async def update_engine(self, fleet: RolloutFleet, engine: EngineHandle) -> None:
        """Give an engine that was restarted the current weights, if it lacks them.

        Raises:
            ActorLost: the learner is gone.
            RunFailed: broadcasts fail again and again.
        """
        async with self._lock:
            # While this waited for the lock, a push may have updated the engine, or it may have
            # died again.
            if engine.loaded and engine.version != fleet.version:
                await self._broadcast(fleet, [engine])

    async def _broadcast(self, fleet: RolloutFleet, engines: Sequence[EngineHandle]) -> None:
        if not engines:
            return
        version = fleet.version
        targets = broadcast_targets(
            engines, self.backend, fleet.config.tensor_parallel, self.config.timeout_s
        )
        for engine in engines:
            engine.updating = True
        try:
            self.bytes = await self.learner.broadcast(version, targets)
        except (RunFailed, TimeoutError) as error:
            for engine, (_, incarnation) in zip(engines, targets.engines, strict=True):
                fleet.supervisor.replace(engine, incarnation, f"weights {version}: {error}")
            self._failures += 1
            if isinstance(error, ActorLost) or self._failures >= _FAILED_BROADCASTS:
                raise
        else:
            self._failures = 0
            for engine, identity in zip(engines, targets.engines, strict=True):
                if engine.identity == identity:
                    fleet.supervisor.mark_current(engine, version)
        finally:
            for engine in engines:
                engine.updating = False


def broadcast_targets(
    engines: Sequence[EngineHandle], backend: str, ranks_per_worker: int, deadline_s: float
) -> BroadcastTargets:
    """These engines, as they are now, as the targets of a broadcast."""
    return BroadcastTargets(
        backend=backend,
        workers=tuple(engine.actor for engine in engines),
        engines=tuple(engine.identity for engine in engines),
        ranks_per_worker=ranks_per_worker,
        deadline_s=deadline_s,
    )
