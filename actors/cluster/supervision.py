"""ActorSupervisor: watches the actors of one role, and restarts those that fail."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

import ray
from ray.exceptions import RayError

from actors.cluster.ray_calls import gather, wait_until_restarted
from actors.config import RolloutConfig
from actors.errors import RunFailed

logger = logging.getLogger(__name__)

_FAILED_RESTARTS = 3
"""Times in a row that a restart may fail while no other actor is loaded, before the run ends."""


class Supervised(Protocol):
    """What a supervisor knows of one actor."""

    name: str
    actor: Any
    """Ray's handle, which stays valid when Ray restarts the actor; None for what is no actor."""
    incarnation: int
    """How often it was restarted."""
    loaded: bool
    """Whether it answers calls."""


_Handle = TypeVar("_Handle", bound=Supervised)


class ActorSupervisor(ABC, Generic[_Handle]):
    """Owns the state of every actor of one role: loaded or not.

        created -> loaded -> failed -> loaded -> ...

    One that dies or hangs is killed and started again, while the others take over its work. All
    methods belong to one event loop.
    """

    none_left: str
    """What ends the run where none can be started again."""

    def __init__(self, handles: Sequence[_Handle], config: RolloutConfig) -> None:
        """Take charge of `handles`: created, not yet started.

        Args:
            handles: of the actors.
            config: the deadlines.
        """
        self.handles = tuple(handles)
        self.restarts = 0
        """Actors restarted so far."""
        self._config = config
        self._listeners: list[Callable[[], None]] = []
        self._restarting: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        """Why no actor will come back; raised to everyone who waits for one."""
        self._stopped = False

    # ------------------------------------------------------------------------- state

    def loaded(self) -> list[_Handle]:
        """Actors that answer calls."""
        return [handle for handle in self.handles if handle.loaded]

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the state of an actor changed, or none will come back."""
        self._listeners.append(listener)

    def raise_if_failed(self) -> None:
        """Raise what keeps every actor from coming back, if anything does.

        Raises:
            RunFailed: none could be restarted.
        """
        if self._failure:
            raise self._failure

    async def wait_for_change(self) -> None:
        """Wait until the state of an actor changed.

        Raises:
            RunFailed: none will.
        """
        changed = asyncio.Event()
        self._listeners.append(changed.set)
        try:
            self.raise_if_failed()
            await changed.wait()
            self.raise_if_failed()
        finally:
            self._listeners.remove(changed.set)

    def _notify(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    # ------------------------------------------------------------------------- heartbeat

    @asynccontextmanager
    async def heartbeat(self) -> AsyncIterator[None]:
        """While inside, check every actor each `rollout.heartbeat_s`."""
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
        """Ask every loaded actor for a sign of life; restart those that give none."""
        actors = [handle for handle in self.loaded() if handle.actor is not None]
        await asyncio.gather(*map(self._check, actors))

    async def _check(self, handle: _Handle) -> None:
        if self._is_busy(handle):
            return
        incarnation = handle.incarnation
        try:
            call = handle.actor.heartbeat.remote()
            what, deadline_s = f"{handle.name}: heartbeat", self._config.hang_timeout_s
            await gather(what, [call], deadline_s, "rollout.hang_timeout_s")
        except (RunFailed, TimeoutError, RayError) as error:
            if not self._is_busy(handle):  # it may have become so after the question
                self.replace(handle, incarnation, error)

    # ------------------------------------------------------------------------- restart

    def replace(self, handle: _Handle, incarnation: int, cause: BaseException | str) -> None:
        """Kill the actor and start another in its place, unless that has begun already.

        Args:
            handle: which failed.
            incarnation: of the actor that failed. Several calls report one death, each in its own
                time; all but the first name an incarnation that is gone.
            cause: why, for the log.
        """
        if handle.incarnation != incarnation or self._stopped:
            return
        handle.incarnation += 1
        handle.loaded = False
        self.restarts += 1
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        logger.warning("%s failed and is restarted: %s", handle.name, reason)
        ray.kill(handle.actor, no_restart=False)
        self._on_lost(handle, incarnation)
        restart = asyncio.create_task(self._restart(handle))
        self._restarting.add(restart)
        restart.add_done_callback(self._on_restart_ended)
        self._notify()

    async def _restart(self, handle: _Handle) -> None:
        failures = 0
        incarnation = handle.incarnation
        what, deadline_s = f"{handle.name}: restart", self._config.start_timeout_s
        await self._before_restart(handle)
        while True:
            try:
                await wait_until_restarted(what, lambda: self._ping(handle), deadline_s)
                await gather(what, [self._start(handle)], deadline_s, "rollout.start_timeout_s")
                break
            except (RunFailed, TimeoutError, RayError) as error:
                failures += 1
                # While another one works, the run can go on without this one, so keep trying.
                if failures >= _FAILED_RESTARTS and not self.loaded():
                    raise RunFailed(f"{self.none_left}: {error}") from error
                ray.kill(handle.actor, no_restart=False)
        handle.loaded = True
        await self._on_restarted(handle)
        if handle.incarnation == incarnation:
            logger.info("%s is restarted%s", handle.name, self._state_of(handle))
        self._notify()

    def _on_restart_ended(self, restart: asyncio.Task[None]) -> None:
        """Nobody awaits a restart: what ends it must reach those who wait for an actor."""
        self._restarting.discard(restart)
        if not restart.cancelled() and (error := restart.exception()):
            self._failure = error
            self._notify()

    def _restart_no_more(self) -> None:
        """The actors are about to be ended."""
        self._stopped = True
        for restart in self._restarting:
            restart.cancel()

    # ------------------------------------------------------------------------- of a role

    @abstractmethod
    def _start(self, handle: _Handle) -> Any:
        """A call that starts the actor, or starts it again."""

    def _ping(self, handle: _Handle) -> Any:
        """A call that a process which Ray has just started answers."""
        return handle.actor.heartbeat.remote()

    def _is_busy(self, _handle: _Handle) -> bool:
        """Whether its silence is no reason for alarm."""
        return False

    def _on_lost(self, _handle: _Handle, _incarnation: int) -> None:
        """This incarnation of the actor was killed."""

    async def _before_restart(self, _handle: _Handle) -> None:
        """Wait for what a restart needs."""

    async def _on_restarted(self, _handle: _Handle) -> None:
        """The actor is loaded again; bring it to the state of the others."""

    def _state_of(self, _handle: _Handle) -> str:
        """What to add to the message that says that the actor is back."""
        return ""
