"""Delivery: hands everything to one sink in a thread of its own, so that no sink holds up a run."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from actors.runs.sinks.base import Sink

logger = logging.getLogger(__name__)

CLOSE_S = 300.0
"""Longest wait for a sink at the end of a run [seconds]; it may upload a policy then."""
_SILENT_S = 3.0
"""Wait for a sink before it is told of [seconds]."""
MOST_PENDING = 10_000
"""Deliveries that wait for a sink; of more, the oldest are lost and counted."""


class Delivery:
    """Calls a sink's methods one after the other; what fails is counted and told, never raised.

    The first failure and every tenfold of it are logged with their reason, and the end of a run
    says how much a sink did not receive. `metrics.jsonl` has all of it.
    """

    def __init__(self, name: str, opened: Callable[[], Sink], close_s: float = CLOSE_S) -> None:
        """Open the sink in its thread.

        Args:
            name: of the sink, for messages.
            opened: makes the sink; may take its time, and may fail.
            close_s: longest wait at the end [seconds].
        """
        self._name = name
        self._opened = opened
        self._close_s = close_s
        self._pending: deque[tuple[str, tuple[Any, ...]] | None] = deque()
        self._changed = threading.Condition()
        self.lost = 0
        """Deliveries that the sink did not receive."""
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def send(self, method: str, *arguments: Any) -> None:
        """Have a method of the sink called; returns at once."""
        with self._changed:
            if len(self._pending) >= MOST_PENDING:
                self._pending.popleft()
                self._count("it does not keep up")
            self._pending.append((method, arguments))
            self._changed.notify()

    def close(self) -> None:
        """Wait until the sink has everything, as long as it may take."""
        with self._changed:
            self._pending.append(None)
            self._changed.notify()
        self._thread.join(_SILENT_S)
        if self._thread.is_alive():
            logger.info("sink %s: waiting up to %g s for it", self._name, self._close_s)
            self._thread.join(self._close_s)
        if self._thread.is_alive():
            self.lost += sum(pending is not None for pending in self._pending)
            message = "sink %s: not done after %g s; it is left behind"
            logger.warning(message, self._name, self._close_s)
        if self.lost:
            logger.warning(
                "sink %s: did not receive %d of what was sent; metrics.jsonl has all figures",
                self._name,
                self.lost,
            )

    def _run(self) -> None:
        sink: Sink | None = None
        try:
            sink = self._opened()
        except Exception as error:
            logger.warning("sink %s: could not be opened: %s", self._name, _reason(error))
        while (delivery := self._next()) is not None:
            method, arguments = delivery
            if sink is None:
                self.lost += 1
                continue
            try:
                getattr(sink, method)(*arguments)
            except Exception as error:
                self._count(_reason(error))
        if sink is not None:
            try:
                sink.close()
            except Exception as error:
                self._count(_reason(error))

    def _next(self) -> tuple[str, tuple[Any, ...]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pending)
            return self._pending.popleft()

    def _count(self, reason: str) -> None:
        self.lost += 1
        if str(self.lost).strip("0") == "1":  # 1, 10, 100, ...
            logger.warning("sink %s: %d not received: %s", self._name, self.lost, reason)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
