"""Polling with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def poll(probe: Callable[[], T], timeout_s: float, interval_s: float = 0.3) -> T:
    """Call `probe` until its result is true; returns the result.

    Args:
        probe: called at least once.
        timeout_s: longest time between the first call and the last [seconds].
        interval_s: time between two calls [seconds].

    Raises:
        TimeoutError: no result was true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (result := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s")
        time.sleep(interval_s)
    return result
