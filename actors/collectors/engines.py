"""EngineBoard: what a collector knows of its engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.collectors.messages import EngineFailure, EnginesView
from actors.rollout.engine_handle import EngineHandle


class EngineBoard:
    """The engines of one collector, in the state that the driver last told.

    The driver owns the state (`Supervisor`). An engine that fails here is left out at once, and
    reported with the next delivery; the driver restarts it, and says when it is ready again. It may
    not take that delivery, of an order that it cancels: the failure is reported again whenever it
    says that the failed engine is ready.
    """

    def __init__(self, engines: Sequence[EngineHandle]) -> None:
        self.engines = tuple(engines)
        self.version = 0
        self._number = -1
        self._failures: dict[int, EngineFailure] = {}
        """To be reported, by the engine's place."""
        self._failed: dict[int, EngineFailure] = {}
        """Each engine's last failure, by its place."""
        self._listeners: list[Callable[[], None]] = []

    @property
    def outstanding_tokens(self) -> int:
        """Tokens that the engines may still have to read and write."""
        return sum(engine.tokens for engine in self.engines)

    def update(self, view: EnginesView) -> None:
        """Take a view, unless a newer one came before."""
        if view.number <= self._number:
            return
        self._number, self.version = view.number, view.version
        for place, (engine, state) in enumerate(zip(self.engines, view.states, strict=True)):
            engine.incarnation = state.incarnation
            failure = self._failed.get(place)
            if failure is None or failure.incarnation != state.incarnation:
                engine.loaded = state.ready
                continue
            engine.loaded = False
            if state.ready:  # the driver does not know of it
                self._failures[place] = failure
        self._notify()

    @property
    def has_failures(self) -> bool:
        """Whether engines failed since the last call of `take_failures`."""
        return bool(self._failures)

    def take_failures(self) -> tuple[EngineFailure, ...]:
        """The failures since the last call."""
        taken, self._failures = tuple(self._failures.values()), {}
        return taken

    def ready(self) -> list[EngineHandle]:
        """Engines that answer calls and hold the current weights."""
        return [engine for engine in self.engines if engine.loaded]

    def replace(self, handle: EngineHandle, incarnation: int, cause: BaseException | str) -> None:
        """Leave the engine out until the driver has restarted it."""
        place = self.engines.index(handle)
        known = self._failed.get(place)
        if incarnation < handle.incarnation or (known and known.incarnation >= incarnation):
            return
        handle.loaded = False
        failure = EngineFailure(place, incarnation, str(cause) or repr(cause))
        self._failed[place] = self._failures[place] = failure
        self._notify()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the state of an engine changed."""
        self._listeners.append(listener)

    def raise_if_failed(self) -> None:
        """Raise nothing: whether an engine comes back is known to the driver."""

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()
