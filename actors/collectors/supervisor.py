"""CollectorSupervisor: starts the collectors, watches them, and restarts those that fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from actors.cluster.ray_calls import gather, wait_until_restarted
from actors.collectors.handle import CollectorHandle
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.sandboxes.pool import SandboxPool

logger = logging.getLogger(__name__)

_FAILED_RESTARTS = 3
"""Times in a row that a restart may fail while no other collector answers, before the run ends."""


class CollectorSupervisor:
    """Owns the state of every collector: loaded or not.

    One that dies or hangs is killed and restarted, and others take over its groups. Its engines and
    sandboxes are told to stop what they did for it.
    """

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
        self.handles = tuple(handles)
        self.restarts = 0
        """Collectors restarted so far."""
        self._config = config
        self._setup = setup
        self._pool = pool
        self._listeners: list[Callable[[], None]] = []
        self._restarting: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        """Why no collector will come back; raised to everyone who waits for one."""
        self._stopped = False

    def loaded(self) -> list[CollectorHandle]:
        """Collectors that answer calls."""
        return [handle for handle in self.handles if handle.loaded]

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the state of a collector changed."""
        self._listeners.append(listener)

    def raise_if_failed(self) -> None:
        """Raise what keeps every collector from coming back, if anything does.

        Raises:
            RunFailed: no collector could be restarted.
        """
        if self._failure:
            raise self._failure

    async def start(self) -> None:
        """Start every collector.

        Raises:
            RunFailed: a collector could not start.
            TimeoutError: not all started within `rollout.start_timeout_s`.
        """
        calls = [self._start(handle) for handle in self.handles]
        await gather("collector: start", calls, self._config.start_timeout_s)
        for handle in self.handles:
            handle.loaded = True
        self._notify()

    def _start(self, handle: CollectorHandle) -> ray.ObjectRef[None]:
        assert self._setup is not None
        return handle.actor.start.remote(*self._setup(handle))

    def stop(self) -> None:
        """End the actors."""
        self._stopped = True
        for restart in self._restarting:
            restart.cancel()
        for handle in self.handles:
            handle.loaded = False
            if handle.actor is not None:
                ray.kill(handle.actor)

    @asynccontextmanager
    async def heartbeat(self) -> AsyncIterator[None]:
        """While inside, check every collector each `rollout.heartbeat_s`."""
        beat = asyncio.create_task(self._check_forever())
        try:
            yield
        finally:
            for task in (beat, *self._restarting):
                task.cancel()

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(self._config.heartbeat_s)
            await self.check()

    async def check(self) -> None:
        """Ask every loaded collector for a sign of life; restart those that give none."""
        await asyncio.gather(*(self._check(handle) for handle in self.loaded() if handle.actor))

    async def _check(self, handle: CollectorHandle) -> None:
        incarnation = handle.incarnation
        try:
            call = handle.actor.heartbeat.remote()
            await gather(f"{handle.name}: heartbeat", [call], self._config.hang_timeout_s)
        except (RunFailed, TimeoutError, RayError) as error:
            self.replace(handle, incarnation, error)

    def replace(
        self, handle: CollectorHandle, incarnation: int, cause: BaseException | str
    ) -> None:
        """Kill the collector and start another in its place, unless that has begun already.

        Args:
            handle: which failed.
            incarnation: of the collector that failed; see `Supervisor.replace`.
            cause: why, for the log.
        """
        if handle.incarnation != incarnation or self._stopped:
            return
        died = handle.caller
        handle.incarnation += 1
        handle.loaded = False
        self.restarts += 1
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        logger.warning("%s failed and is restarted: %s", handle.name, reason)
        ray.kill(handle.actor, no_restart=False)
        for engine in handle.engines:
            if engine.loaded:
                engine.actor.abandon.remote(died)
        if self._pool is not None:
            self._pool.abandon(died)
        restart = asyncio.create_task(self._restart(handle))
        self._restarting.add(restart)
        restart.add_done_callback(self._on_restart_ended)
        self._notify()

    async def _restart(self, handle: CollectorHandle) -> None:
        failures = 0
        what, deadline_s = f"{handle.name}: restart", self._config.start_timeout_s
        while True:
            try:
                await wait_until_restarted(what, handle.actor.heartbeat.remote, deadline_s)
                await gather(what, [self._start(handle)], deadline_s)
                break
            except (RunFailed, TimeoutError, RayError) as error:
                failures += 1
                # While another collector works, the run can go on without this one.
                if failures >= _FAILED_RESTARTS and not self.loaded():
                    raise RunFailed(f"no collector is left: {error}") from error
                ray.kill(handle.actor, no_restart=False)
        handle.loaded = True
        logger.info("%s is restarted", handle.name)
        self._notify()

    def _on_restart_ended(self, restart: asyncio.Task[None]) -> None:
        """Nobody awaits a restart: what ends it must reach those who wait for a collector."""
        self._restarting.discard(restart)
        if not restart.cancelled() and (error := restart.exception()):
            self._failure = error
            self._notify()

    def _notify(self) -> None:
        for listener in tuple(self._listeners):
            listener()
