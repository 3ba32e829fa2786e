"""ProcessorMeter: how busy the processes of the collectors are."""

from __future__ import annotations

_LEAST_S = 1.0
"""Shortest time that a share is taken over: deliveries may follow each other at once [seconds]."""


class ProcessorMeter:
    """The load of several processes, each of which tells now and then its processor time.

    Example:
        meter = ProcessorMeter()
        meter.heard("collector-0", 3.0, now=100.0)
        meter.heard("collector-0", 4.0, now=105.0)
        meter.busiest()   # 0.2
    """

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, float]] = {}
        """When each was heard as the share before was taken, and its processor time [seconds]."""
        self._newest: dict[str, tuple[float, float]] = {}
        """The same of the newest one."""

    def heard(self, name: str, processor_s: float, now: float) -> None:
        """Take what a process told.

        Args:
            name: of the process; one that was restarted has the same name.
            processor_s: processor time since its start [seconds].
            now: by a monotonic clock [seconds].
        """
        self._newest[name] = (now, processor_s)
        self._before.setdefault(name, (now, processor_s))

    def busiest(self) -> float | None:
        """The largest share of a core that one of them used since the share before; None where
        none was heard for long enough."""
        shares: list[float] = []
        for name, (now, processor_s) in self._newest.items():
            began, before_s = self._before[name]
            if now - began < _LEAST_S:
                continue
            if processor_s < before_s:  # a new process: this is all that it used
                before_s = 0.0
            shares.append((processor_s - before_s) / (now - began))
            self._before[name] = (now, processor_s)
        return max(shares, default=None)
