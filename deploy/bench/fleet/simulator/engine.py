"""SimulatedEngine: sequences that share the tokens of one engine."""

from __future__ import annotations

import heapq
import itertools
from collections import deque

from deploy.bench.fleet.simulator.clock import Clock, Then


class SimulatedEngine:
    """Decodes its sequences together, each at the same speed.

    With n sequences under way each gets the n-th part of the engine's tokens, and at most what one
    sequence can have. Reading the prompt takes no time.
    """

    def __init__(
        self, clock: Clock, tokens_per_s: float, sequence_tokens_per_s: float, most: int
    ) -> None:
        """Decode on `clock`.

        Args:
            clock: of the simulation.
            tokens_per_s: most tokens of the engine in a second.
            sequence_tokens_per_s: most tokens of one sequence in a second.
            most: sequences together; others wait.
        """
        self._clock = clock
        self._tokens = 0.0
        self._rate, self._sequence_rate, self._most = tokens_per_s, sequence_tokens_per_s, most
        self._ends: list[tuple[float, int, Then]] = []
        """Sequences by the progress at which each ends."""
        self._waiting: deque[tuple[float, Then]] = deque()
        self._numbers = itertools.count()
        self._progress = 0.0
        """Tokens that a sequence has which began at time 0."""
        self._since = 0.0
        self._paused = False
        self._plan = 0
        """Number of the newest plan; older ones are void."""

    def generate(self, tokens: int, then: Then) -> None:
        """Decode a sequence of this length, then call `then`."""
        self._go_on()
        self._waiting.append((tokens, then))
        self._replan()

    def pause(self, paused: bool) -> None:
        """Stop, or go on."""
        self._go_on()
        self._paused = paused
        self._replan()

    @property
    def tokens(self) -> float:
        """Generated so far."""
        return self._tokens + self._speed * len(self._ends) * (self._clock.now - self._since)

    @property
    def _speed(self) -> float:
        """Tokens per second of each sequence."""
        if self._paused or not self._ends:
            return 0.0
        return min(self._sequence_rate, self._rate / len(self._ends))

    def _go_on(self) -> None:
        """Account for the time since the last change."""
        self._tokens = self.tokens
        self._progress += self._speed * (self._clock.now - self._since)
        self._since = self._clock.now

    def _replan(self) -> None:
        """Begin what has room, and schedule the next end."""
        while self._waiting and len(self._ends) < self._most:
            tokens, then = self._waiting.popleft()
            heapq.heappush(self._ends, (self._progress + tokens, next(self._numbers), then))
        self._plan += 1
        if speed := self._speed:
            plan, left = self._plan, max(0.0, self._ends[0][0] - self._progress)
            self._clock.after(left / speed, lambda: self._end(plan))

    def _end(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._go_on()
        ended: list[Then] = []
        while self._ends and self._ends[0][0] <= self._progress + 1e-6:
            ended.append(heapq.heappop(self._ends)[2])
        self._replan()
        for then in ended:
            then()
