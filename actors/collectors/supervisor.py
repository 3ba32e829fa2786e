"""CollectorSupervisor: starts the collectors, watches them, and restarts those that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ray

from actors.cluster.ray_calls import gather
from actors.cluster.supervision import ActorSupervisor
from actors.collectors.handle import CollectorHandle
from actors.config import RolloutConfig
from actors.sandboxes.pool import SandboxPool


class CollectorSupervisor(ActorSupervisor[CollectorHandle]):
    """Owns the state of every collector: loaded or not.

    When one dies or hangs, others take over its groups, and its engines and sandboxes are told to
    stop what they did for it.
    """

    none_left = "no collector is left"

    def __init__(
        self,
        handles: Sequence[CollectorHandle],
        config: RolloutConfig,
        setup: Callable[[CollectorHandle], tuple[Any, ...]] | None = None,
        pool: SandboxPool | None = None,
    ) -> None:
        """Take charge of `handles`.

        Args:
            handles: created, not yet started; those of this process need neither.
            config: the deadlines.
            setup: arguments of a collector's `start`.
            pool: whose workers they use.
        """
        super().__init__(handles, config)
        self._setup = setup
        self._pool = pool

    async def start(self) -> None:
        """Start every collector.

        Raises:
            RunFailed: a collector could not start.
            TimeoutError: not all started within `rollout.start_timeout_s`.
        """
        calls = [self._start(handle) for handle in self.handles]
        deadline_s = self._config.start_timeout_s
        await gather("collector: start", calls, deadline_s, "rollout.start_timeout_s")
        for handle in self.handles:
            handle.loaded = True
        self._notify()

    def _start(self, handle: CollectorHandle) -> Any:
        assert self._setup is not None
        return handle.actor.start.remote(*self._setup(handle))

    def stop(self) -> None:
        """End the actors."""
        self._restart_no_more()
        for handle in self.handles:
            handle.loaded = False
            if handle.actor is not None:
                ray.kill(handle.actor)

    def _on_lost(self, handle: CollectorHandle, incarnation: int) -> None:
        died = handle.caller_of(incarnation)
        for engine in handle.engines:
            if engine.loaded:
                engine.actor.abandon.remote(died)
        if self._pool is not None:
            self._pool.abandon(died)
