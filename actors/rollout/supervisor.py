"""Supervisor: loads the rollout engines, watches them, and restarts those that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayError

from actors.cluster.memory import MemoryWatch
from actors.cluster.ray_calls import gather, wait_for_all
from actors.cluster.supervision import ActorSupervisor
from actors.config import RolloutConfig
from actors.errors import ActorLost, RunFailed
from actors.rollout.engine_handle import EngineHandle
from learner.models.source import ModelSource

_STOP_S = 20.0
"""Longest wait for the engines to shut down [seconds]."""


class EngineWatch(Protocol):
    """Somebody who can ask engines for their heartbeats: a collector, on their node."""

    engines: tuple[EngineHandle, ...]
    """Those that it can ask."""
    loaded: bool
    """Whether it answers calls."""

    async def silent(
        self, engines: Sequence[EngineHandle], deadline_s: float
    ) -> dict[EngineHandle, str]:
        """Which of these engines did not answer in time, and why.

        Raises:
            RunFailed, TimeoutError, RayError: it could not ask them.
        """
        ...


class Supervisor(ActorSupervisor[EngineHandle]):
    """Owns the state of every engine: loaded, asleep, updating, and the version of its weights.

        created -> loaded -> ready -> (asleep <-> ready) -> failed -> loaded -> ...

    An engine is ready when it is loaded and holds the weights `version`. One that dies, hangs or
    misses a weight update is killed and restarted, while the others take over its requests. A
    restarted engine holds the weights of the model folder; `on_engine_loaded` must bring it to
    `version`, else it stays without requests until the next broadcast.
    """

    none_left = "no rollout engine is left"

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
        super().__init__(engines, config)
        self.colocated = colocated
        self.version = 0
        """Weights that every new completion must be generated with."""
        self._on_engine_loaded = on_engine_loaded
        self._memory = memory
        self._start_arguments: tuple[ModelSource, str, bool, bool] | None = None
        self._watches: tuple[EngineWatch, ...] = ()
        self._gpus_free = asyncio.Event()
        """Cleared while a colocated learner uses the GPUs: no engine may load then."""
        self._gpus_free.set()

    # ------------------------------------------------------------------------- state

    @property
    def engines(self) -> tuple[EngineHandle, ...]:
        """Every engine, whatever its state."""
        return self.handles

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

    def forget_learner_loss(self) -> None:
        """The learner was restarted: engines that it could not update may be updated now."""
        if isinstance(self._failure, ActorLost):
            self._failure = None

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
        calls = [self._start(engine) for engine in self.engines]
        deadline_s = self._config.start_timeout_s
        reports = await gather("rollout: start", calls, deadline_s, "rollout.start_timeout_s")
        for engine in self.engines:
            engine.loaded = True
            await self._watch(engine)
        return reports

    def _start(self, handle: EngineHandle) -> Any:
        assert self._start_arguments is not None
        return handle.actor.start.remote(*self._start_arguments)

    async def _watch(self, engine: EngineHandle) -> None:
        if self._memory is not None:
            await self._memory.watch(engine.name, engine.actor)

    async def stop(self) -> None:
        """Shut the engines down and end their actors; waits at most 20 s."""
        self._restart_no_more()
        await wait_for_all([engine.actor.stop.remote() for engine in self.loaded()], _STOP_S)
        for engine in self.engines:
            engine.loaded = False
            ray.kill(engine.actor)

    # ------------------------------------------------------------------------- heartbeat

    def ask_through(self, watches: Sequence[EngineWatch]) -> None:
        """Have these ask their engines from now on: a call for each of them, and not for each
        engine."""
        self._watches = tuple(watches)

    async def check(self) -> None:
        """Ask every loaded engine for a sign of life; restart those that give none."""
        direct = {engine: None for engine in self.loaded() if not self._is_busy(engine)}
        checks: list[Awaitable[None]] = []
        for watch in self._watches:
            engines = [engine for engine in watch.engines if engine in direct]
            if watch.loaded and len(engines) > 1:
                checks.append(self._check_through(watch, engines))
                for engine in engines:
                    del direct[engine]
        await asyncio.gather(*checks, *(self._check(each) for each in direct if each.actor))

    async def _check_through(self, watch: EngineWatch, engines: Sequence[EngineHandle]) -> None:
        incarnations = [engine.incarnation for engine in engines]
        try:
            silent = await watch.silent(engines, self._config.hang_timeout_s)
        except (RunFailed, TimeoutError, RayError):  # whoever asked failed, not the engines
            await asyncio.gather(*map(self._check, engines))
            return
        for engine, incarnation in zip(engines, incarnations, strict=True):
            if engine in silent and not self._is_busy(engine):
                self.replace(engine, incarnation, silent[engine])

    # ------------------------------------------------------------------------- restart

    def _ping(self, handle: EngineHandle) -> Any:
        return handle.actor.pids.remote()

    def _is_busy(self, handle: EngineHandle) -> bool:
        # An engine in a broadcast answers nothing else and is no reason for alarm: the broadcast
        # has deadlines of its own, and reports the engines that miss them.
        return handle.updating

    def _on_lost(self, handle: EngineHandle, _incarnation: int) -> None:
        handle.asleep = False
        handle.version = 0

    async def _before_restart(self, handle: EngineHandle) -> None:
        if self._memory is not None:
            await self._memory.check(handle.name)
        await self._gpus_free.wait()

    async def _on_restarted(self, handle: EngineHandle) -> None:
        await self._watch(handle)
        if self._on_engine_loaded is not None:
            await self._on_engine_loaded(handle)

    def _state_of(self, handle: EngineHandle) -> str:
        return f", with weights {handle.version}"

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
                deadline_s = self._config.hang_timeout_s
                await gather(
                    f"{engine.name}: {method}", [call], deadline_s, "rollout.hang_timeout_s"
                )
                engine.asleep = method == "sleep"
            except (RunFailed, TimeoutError, RayError) as error:
                self.replace(engine, incarnation, error)

        await asyncio.gather(*map(switch, engines))
