"""WeightSync: brings the fleet to the learner's weights, and every engine that comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actors.config import WeightsConfig
from actors.errors import ActorLost, RunFailed
from actors.learners.group import BroadcastGroup, LearnerGroup
from actors.rollout.engine_handle import Member
from actors.rollout.fleet import RolloutFleet

_FAILURES = 3
"""Broadcasts in a row that may fail before the run ends: then it is not an engine's death."""


class WeightSync:
    """One broadcast at a time, over the engines that answer.

    A broadcast that fails leaves its engines with half an update, so each is loaded anew and
    brought up alone; the others are left in peace.
    """

    def __init__(
        self,
        learner: LearnerGroup,
        fleet: RolloutFleet,
        config: WeightsConfig,
        backend: str,
    ) -> None:
        self.learner = learner
        self.fleet = fleet
        self.config = config
        self.backend = backend
        self.bytes = 0
        """Bytes of one copy of the weights, known after the first broadcast."""
        self.seconds = 0.0
        """Duration of the last broadcast to the fleet [seconds]."""
        self._lock = asyncio.Lock()
        self._failures = 0
        fleet.bring_up = self.bring_up

    async def push(self, version: int) -> None:
        """Make `version` the fleet's weights: the learner's as they are now.

        Returns when at least one engine holds them.

        Raises:
            ActorLost: the learner is gone.
            RunFailed: broadcasts fail again and again, or no engine came back in time.
        """
        started = time.monotonic()
        async with self._lock:
            self.fleet.learner_is_back()
            await self.fleet.wake()
            # Whoever died since the last broadcast would spoil this one for the others.
            await self.fleet.check()
            self.fleet.version = version
            await self._send(self.fleet.loaded())
        try:
            async with asyncio.timeout(self.fleet.config.start_timeout_s):
                while not self.fleet.ready():
                    await self.fleet.changed()
        except TimeoutError:
            raise RunFailed(
                f"weights: no rollout engine took version {version} within "
                f"{self.fleet.config.start_timeout_s:g} s (rollout.start_timeout_s)"
            ) from None
        self.seconds = time.monotonic() - started

    async def bring_up(self, member: Member) -> None:
        """Give an engine that was loaded anew the current weights, if it lacks them."""
        async with self._lock:
            if member.loaded and member.version != self.fleet.version:
                await self._send([member])

    async def _send(self, members: Sequence[Member]) -> None:
        if not members:
            return
        version = self.fleet.version
        group = BroadcastGroup(
            backend=self.backend,
            workers=tuple(member.actor for member in members),
            members=tuple((member.name, member.incarnation) for member in members),
            ranks_per_worker=self.fleet.config.tensor_parallel,
            deadline_s=self.config.timeout_s,
        )
        for member in members:
            member.updating = True
        try:
            self.bytes = await self.learner.broadcast(version, group)
        except (RunFailed, TimeoutError) as error:
            for member, (_, incarnation) in zip(members, group.members, strict=True):
                self.fleet.fail(member, incarnation, f"weights {version}: {error}")
            self._failures += 1
            if isinstance(error, ActorLost) or self._failures >= _FAILURES:
                raise
        else:
            self._failures = 0
            for member, (_, incarnation) in zip(members, group.members, strict=True):
                if member.incarnation == incarnation:
                    self.fleet.holds(member, version)
        finally:
            for member in members:
                member.updating = False
