"""The object store of a run whose `runs_dir` is a URL: reached, and free, before it starts."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.runs.folder import RunFolder
from actors.runs.store.lease import Lease
from actors.runs.store.objects import RunStore
from actors.runs.store.uploads import Uploads
from deploy.config import RunConfig
from deploy.errors import ConfigError

logger = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_S = 120.0
"""Longest wait for the store to list, read or write small objects [seconds]."""


def open_store(config: RunConfig) -> RunStore | None:
    """The store of the run's files; None where `runs_dir` is a folder.

    Raises:
        ConfigError: no library for this kind of URL.
    """
    if config.runs_url is None:
        return None
    try:
        return RunStore(config.runs_url, config.name)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"runs_dir {config.runs_url}: {error}: fsspec needs the library of this kind of store, "
            f"such as `{sys.executable} -m pip install s3fs` (gcsfs, adlfs)"
        ) from error


def prepare_store(
    store: RunStore, folder: RunFolder, loop: LoopConfig, resume: bool, overwrite: bool
) -> None:
    """Refuse a store that this run must not write to; on `resume`, fetch a run that is not here.

    Raises:
        ConfigError: the store does not answer, holds another run, or is ahead of the folder.
        RunFailed: another run writes there.
    """
    within(ANSWER_S, store, Lease(store, folder.root).check_free)
    if not resume:
        if not overwrite and within(ANSWER_S, store, store.names):
            raise ConfigError(
                f"{store.url} holds another run: choose another --name, continue it with --resume, "
                f"or replace it with --overwrite"
            )
        return
    sealed = within(ANSWER_S, store, store.sealed)
    if not sealed:
        return  # a run that is only here, if there is one, is uploaded from here on
    if folder.in_use():
        here = folder.latest()
        if here is None or here.name < sealed[-1]:
            raise ConfigError(
                f"--resume: {store.url} has {sealed[-1]}, and {folder.root} on this machine "
                f"{here.name if here else 'no whole checkpoint'}: remove that folder to go on from "
                "the store"
            )
        return
    logger.info("%s: fetching %s to %s", store.url, sealed[-1], folder.root)
    folder.root.parent.mkdir(parents=True, exist_ok=True)
    within(loop.checkpoint_timeout_s, store, lambda: store.fetch(folder.root))


@contextmanager
def uploading(
    store: RunStore | None, folder: RunFolder, loop: LoopConfig
) -> Iterator[Uploads | None]:
    """Be the only run that writes the store while inside, and upload what it writes.

    Raises:
        ConfigError: the store does not answer.
        RunFailed: another run writes there.
    """
    if store is None:
        yield None
        return
    lease = Lease(store, folder.root)
    within(ANSWER_S, store, lease.acquire)
    uploads = Uploads(folder, store, lease, loop)
    try:
        yield uploads
    finally:
        uploads.close()
        try:
            within(ANSWER_S, store, lease.release)
        except ConfigError as error:
            logger.warning("%s", error)


def within(seconds: float, store: RunStore, call: Callable[[], T]) -> T:
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
            f"runs_dir: {store.url} did not answer within {seconds:g} s: check its address and "
            "credentials (docs/runs.md#object-stores)"
        ) from None
    if isinstance(error, RunFailed):
        raise error
    if error is not None:
        raise ConfigError(
            f"runs_dir: {store.url}: {type(error).__name__}: {error}: check its address and "
            "credentials (docs/runs.md#object-stores)"
        ) from error
    return result  # type: ignore[return-value]
