"""An object store is opened and asked: within a deadline, and with the remedy where that fails."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from actors.errors import RunFailed
from actors.runs.store.objects import RunStore
from deploy.errors import ConfigError

T = TypeVar("T")

ANSWER_S = 120.0
"""Longest wait for the store to list, read or write small objects [seconds]."""


def open_run(url: str) -> RunStore:
    """The store of the run at a URL.

    Raises:
        ConfigError: no library for this kind of URL, or it cannot be opened.
    """
    try:  # some kinds look for credentials or connect at once
        return within(ANSWER_S, url, lambda: RunStore(url))
    except ConfigError as error:
        if not isinstance(error.__cause__, (ImportError, ValueError)):
            raise
        raise ConfigError(
            f"{url}: {error.__cause__}: fsspec needs the library of this kind of store, such as "
            f"`{sys.executable} -m pip install s3fs` (gcsfs, adlfs); an image has those that it "
            "was built with: `make images STORES=s3fs`"
        ) from error.__cause__


def within(seconds: float, url: str, call: Callable[[], T]) -> T:
    """What `call` returns; the file systems of fsspec know no deadlines.

    Raises:
        ConfigError: it failed, or did not return in time; names the store.
        RunFailed: as `call` raises it.
    """
    ended: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((call(), None))
        except Exception as error:
            ended.put((None, error))

    threading.Thread(target=run, name="store", daemon=True).start()
    try:
        result, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise ConfigError(
            f"{url} did not answer within {seconds:g} s: check its address and credentials "
            "(docs/runs.md#object-stores)"
        ) from None
    if isinstance(error, RunFailed):
        raise error
    if error is not None:
        raise ConfigError(
            f"{url}: {type(error).__name__}: {error}: check its address and credentials "
            "(docs/runs.md#object-stores)"
        ) from error
    return result  # type: ignore[return-value]
