"""Supervisor: loads the rollout engines, watches them, and restarts those that fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import ray
from ray.exceptions import RayError

from actors.cluster.memory import MemoryWatch
from actors.cluster.ray_calls import gather, wait_for_all, wait_until_restarted
from actors.config import RolloutConfig
from actors.errors import ActorLost, RunFailed
from actors.rollout.engine_handle import EngineHandle
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)

_FAILED_RESTARTS = 3
"""Times in a row that a restart may fail while no other engine is loaded, before the run ends."""

_STOP_S = 20.0
"""Longest wait for the engines to shut down [seconds]."""


class Supervisor:
    """Owns the state of every engine: loaded, asleep, updating, and the version of its weights.

        created -> loaded -> ready -> (asleep <-> ready) -> failed -> loaded -> ...

    An engine is ready when it is loaded and holds the weights `version`. One that dies, hangs or
    misses a weight update is killed and restarted, while the others take over its requests. A
    restarted engine holds the weights of the model folder; `on_engine_loaded` must bring it to
    `version`, else it stays without requests until the next broadcast.

    All methods belong to one event loop.
    """

    def __init__(
        self,
        engines: Sequence[EngineHandle],
        config: RolloutConfig,
        colocated: bool,
        on_engine_loaded: Callable[[EngineHandle], Awaitable[None]] | None = None,
        memory: MemoryWatch | None = None,
    ) -> None:
        """Take charge of `engines`.

        Args:
            engines: created, not yet loaded.
            config: the deadlines.
            colocated: whether engines share the learner's GPUs.
            on_engine_loaded: called with each engine that was restarted and loaded.
            memory: tells which engines were killed for want of memory.
        """
        self.engines = tuple(engines)
        self.colocated = colocated
        self.version = 0
        """Weights that every new completion must be generated with."""
        self.restarts = 0
        """Engines restarted so far."""
        self._config = config
        self._on_engine_loaded = on_engine_loaded
        self._memory = memory
        self._start_arguments: tuple[ModelSource, str, bool, bool] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._restarting: set[asyncio.Task[None]] = set()
        self._gpus_free = asyncio.Event()
        """Cleared while a colocated learner uses the GPUs: no engine may load then."""
        self._gpus_free.set()
        self._failure: BaseException | None = None
        """Why no engine will come back; raised to everyone who waits for one."""
        self._stopped = False

    # ------------------------------------------------------------------------- state

    def loaded(self) -> list[EngineHandle]:
        """Engines that answer calls."""
        return [engine for engine in self.engines if engine.loaded]

    def ready(self) -> list[EngineHandle]:
        """Engines that answer calls and hold the current weights."""
        return [engine for engine in self.loaded() if engine.version == self.version]

    def expect(self, version: int) -> None:
        """Require the weights `version` of every engine: none is ready until it holds them."""
        self.version = version
        self._notify()

    def mark_current(self, engine: EngineHandle, version: int) -> None:
        """Record that `engine` holds the weights `version` now."""
        engine.version = version
        self._notify()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the state of an engine changed, or none will be ready again."""
        self._listeners.append(listener)

    def raise_if_failed(self) -> None:
        """Raise what keeps every engine from coming back, if anything does.

        Raises:
            RunFailed: no engine could be restarted, or the learner is gone (`ActorLost`).
        """
        if self._failure:
            raise self._failure

    async def wait_for_change(self) -> None:
        """Wait until the state of an engine changed.

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

    def forget_learner_loss(self) -> None:
        """The learner was restarted: engines that it could not update may be updated now."""
        if isinstance(self._failure, ActorLost):
            self._failure = None

    def _notify(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    # ------------------------------------------------------------------------- start and stop

    async def start(
        self, model: ModelSource, weights_backend: str, gpu: bool
    ) -> list[dict[str, str]]:
        """Load every engine; returns the versions of packages that each runs.

        Raises:
            RunFailed: an engine could not load the model.
            TimeoutError: not all loaded within `rollout.start_timeout_s`.
        """
        self._start_arguments = (model, weights_backend, gpu, self.colocated)
        calls = [engine.actor.start.remote(*self._start_arguments) for engine in self.engines]
        reports = await gather("rollout: start", calls, self._config.start_timeout_s)
        for engine in self.engines:
            engine.loaded = True
            await self._watch(engine)
        return reports

    async def _watch(self, engine: EngineHandle) -> None:
        if self._memory is not None:
            await self._memory.watch(engine.name, engine.actor)

    async def stop(self) -> None:
        """Shut the engines down and end their actors; waits at most 20 s."""
        self._stopped = True
        for restart in self._restarting:
            restart.cancel()
        await wait_for_all([engine.actor.stop.remote() for engine in self.loaded()], _STOP_S)
        for engine in self.engines:
            engine.loaded = False
            ray.kill(engine.actor)

    # ------------------------------------------------------------------------- heartbeat

    @asynccontextmanager
    async def heartbeat(self) -> AsyncIterator[None]:
        """While inside, check every engine each `rollout.heartbeat_s`."""
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
        """Ask every loaded engine for a sign of life; restart those that give none."""
        await asyncio.gather(*(self._check(engine) for engine in self.loaded()))

    async def _check(self, engine: EngineHandle) -> None:
        # An engine in a broadcast answers nothing else and is no reason for alarm: the broadcast
        # has deadlines of its own, and reports the engines that miss them.
        if engine.updating:
            return
        incarnation = engine.incarnation
        try:
            call = engine.actor.heartbeat.remote()
            await gather(f"{engine.name}: heartbeat", [call], self._config.hang_timeout_s)
        except (RunFailed, TimeoutError, RayError) as error:
            if not engine.updating:  # a broadcast may have begun after the question
                self.replace(engine, incarnation, error)

    # ------------------------------------------------------------------------- restart

    def replace(self, engine: EngineHandle, incarnation: int, cause: BaseException | str) -> None:
        """Kill the engine and load another in its place, unless that has begun already.

        Args:
            engine: which failed.
            incarnation: of the engine that failed. Several calls report one death, each in its own
                time; all but the first name an incarnation that is gone.
            cause: why, for the log.
        """
        if engine.incarnation != incarnation or self._stopped:
            return
        engine.incarnation += 1
        engine.loaded = False
        engine.asleep = False
        engine.version = 0
        self.restarts += 1
        logger.warning("%s failed and is restarted: %s", engine.name, _first_line(cause))
        ray.kill(engine.actor, no_restart=False)
        restart = asyncio.create_task(self._restart(engine))
        self._restarting.add(restart)
        restart.add_done_callback(self._on_restart_ended)
        self._notify()

    async def _restart(self, engine: EngineHandle) -> None:
        assert self._start_arguments is not None
        failures = 0
        incarnation = engine.incarnation
        if self._memory is not None:
            await self._memory.check(engine.name)
        await self._gpus_free.wait()
        while True:
            try:
                what, deadline_s = f"{engine.name}: restart", self._config.start_timeout_s
                await wait_until_restarted(what, engine.actor.pids.remote, deadline_s)
                await gather(what, [engine.actor.start.remote(*self._start_arguments)], deadline_s)
                break
            except (RunFailed, TimeoutError, RayError) as error:
                failures += 1
                # While another engine works, the run can go on without this one, so keep trying.
                if failures >= _FAILED_RESTARTS and not self.loaded():
                    raise RunFailed(f"no rollout engine is left: {error}") from error
                ray.kill(engine.actor, no_restart=False)
        await self._watch(engine)
        engine.loaded = True
        if self._on_engine_loaded is not None:
            await self._on_engine_loaded(engine)
        if engine.incarnation == incarnation:
            logger.info("%s is restarted, with weights %d", engine.name, engine.version)
        self._notify()

    def _on_restart_ended(self, restart: asyncio.Task[None]) -> None:
        """Nobody awaits a restart: what ends it must reach those who wait for an engine."""
        self._restarting.discard(restart)
        if not restart.cancelled() and (error := restart.exception()):
            self._failure = error
            self._notify()

    # ------------------------------------------------------------------------- colocation

    async def sleep(self) -> None:
        """Have every engine give its memory to the learner until `wake_up`, where they share GPUs.

        No completion may be under way. An engine that fails to is restarted after `wake_up`.
        """
        if not self.colocated:
            return
        # An engine that loads now would take the memory which the learner is about to use.
        if self._restarting and self._gpus_free.is_set():
            await asyncio.wait(self._restarting, timeout=self._config.start_timeout_s)
        self._gpus_free.clear()
        await self._switch([engine for engine in self.loaded() if not engine.asleep], "sleep")

    async def wake_up(self) -> None:
        """Wake every engine that sleeps, and let restarts go on; one that fails is restarted."""
        self._gpus_free.set()
        await self._switch([engine for engine in self.loaded() if engine.asleep], "wake_up")

    async def _switch(self, engines: Sequence[EngineHandle], method: str) -> None:
        async def switch(engine: EngineHandle) -> None:
            incarnation = engine.incarnation
            try:
                call = getattr(engine.actor, method).remote()
                await gather(f"{engine.name}: {method}", [call], self._config.hang_timeout_s)
                engine.asleep = method == "sleep"
            except (RunFailed, TimeoutError, RayError) as error:
                self.replace(engine, incarnation, error)

        await asyncio.gather(*map(switch, engines))


def _first_line(cause: BaseException | str) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
