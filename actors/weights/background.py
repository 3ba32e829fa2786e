"""One half of a pair of calls that block until the other half has been made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def in_background(function: Callable[..., _Result], *arguments: Any) -> Future[_Result]:
    """Call `function` on a thread of its own."""
    # On a daemon thread and not in an executor: if the other half fails, this one returns at its
    # deadline at the earliest, and neither the error nor the process's exit may wait for it.
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True, name=function.__name__).start()
    return future
