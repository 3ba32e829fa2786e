"""An event-driven clock, and stations that serve work in its time."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

Then = Callable[[], None]


class Clock:
    """Calls what was scheduled, in order of its time."""

    def __init__(self) -> None:
        self.now = 0.0
        """Time [seconds]."""
        self.stopped = False
        self._events: list[tuple[float, int, Then]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, then: Then) -> None:
        """Call `then` in so many seconds; of two at one time, the first scheduled is first."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), then))

    def step(self) -> bool:
        """Go to the next event; false where there is none, or `stopped` is set."""
        if self.stopped or not self._events:
            return False
        self.now, _, then = heapq.heappop(self._events)
        then()
        return True


class Station:
    """So many servers with one queue: first come, first served."""

    def __init__(self, clock: Clock, servers: int = 1) -> None:
        self.servers = servers
        self.longest_wait = 0.0
        """[seconds]"""
        self._clock = clock
        self._held = 0
        self._queue: deque[tuple[float, Then]] = deque()
        self._used_s = 0.0
        self._since = 0.0

    @property
    def used_s(self) -> float:
        """Server seconds in use until now."""
        return self._used_s + self._held * (self._clock.now - self._since)

    def acquire(self, then: Then) -> None:
        """Call `then` as soon as a server is free; it is held until `release`."""
        if self._held < self.servers:
            self._change(1)
            then()
        else:
            self._queue.append((self._clock.now, then))

    def release(self) -> None:
        """Give a server back: the first in the queue takes it."""
        if not self._queue:
            self._change(-1)
            return
        since, then = self._queue.popleft()
        self.longest_wait = max(self.longest_wait, self._clock.now - since)
        then()

    def serve(self, seconds: float, then: Then | None = None) -> None:
        """Hold a server for so long, then call `then`."""

        def end() -> None:
            self.release()
            if then is not None:
                then()

        self.acquire(lambda: self._clock.after(seconds, end))

    def _change(self, by: int) -> None:
        self._used_s, self._since = self.used_s, self._clock.now
        self._held += by
