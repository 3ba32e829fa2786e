"""The object store of a run whose `runs_dir` is a URL: reached, and free, before it starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from fsspec.implementations.local import LocalFileSystem

from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.runs.checksums import CHECKSUMS
from actors.runs.folder import RunFolder
from actors.runs.store.lease import EXPIRES_S, RENEW_S, Lease
from actors.runs.store.objects import RunStore
from actors.runs.store.uploads import Uploads
from deploy.checks.folder import sole_run
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.stored.reach import ANSWER_S, open_run, within

logger = logging.getLogger(__name__)


def open_store(config: RunConfig) -> RunStore | None:
    """The store of the run's files; None where `runs_dir` is a folder.

    Raises:
        ConfigError: no library for this kind of URL, it cannot be opened, or it is the folder that
            is uploaded to it.
    """
    url = config.runs_url
    if url is None:
        return None
    store = open_run(f"{url.rstrip('/')}/{config.name}")
    if isinstance(store.fs, LocalFileSystem):
        there = Path(store.path("")).resolve()
        here = (config.local_runs / config.name).resolve()
        if there.is_relative_to(here) or here.is_relative_to(there):
            raise ConfigError(
                f"runs_dir {url}: {there} and staging_dir's {here} hold each other: files are "
                "written to staging_dir and copied to runs_dir, which must be two folders"
            )
    return store


def wait_for_lease(store: RunStore, folder: RunFolder, pause_s: float = 5.0) -> None:
    """Wait until nobody writes the store: a run that was killed on another machine counts as its
    writer for a while.

    Raises:
        ConfigError: the store does not answer.
        RunFailed: a run is under way there.
    """
    lease, deadline = Lease(store, folder.root), time.monotonic() + EXPIRES_S + RENEW_S
    told = False
    while True:
        try:
            return within(ANSWER_S, store.url, lease.check_free)
        except RunFailed as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                logger.info("waiting: %s", error)
                told = True
            time.sleep(pause_s)


def can_go_on(folder: RunFolder, store: RunStore | None) -> bool:
    """Whether a run has a checkpoint, here or in its store, or anything else that is worth keeping.

    Raises:
        ConfigError: the store does not answer.
    """
    here = (*folder.checkpoints.glob("step-??????"), folder.policy, folder.result)
    if any(path.exists() for path in here):
        return True
    return store is not None and bool(within(ANSWER_S, store.url, store.sealed))


def prepare_store(
    store: RunStore, folder: RunFolder, loop: LoopConfig, resume: bool, overwrite: bool
) -> None:
    """Refuse a store that this run must not write to; on `resume`, fetch a run that is not here.

    Raises:
        ConfigError: the store does not answer, holds another run, or is ahead of the folder.
        RunFailed: another run writes there.
    """
    within(ANSWER_S, store.url, Lease(store, folder.root).check_free)
    if not resume:
        names = within(ANSWER_S, store.url, store.names)
        if not overwrite and names:
            raise ConfigError(
                f"{store.url} holds another run: choose another --name, continue it with --resume, "
                f"or replace it with --overwrite"
            )
        foreign = folder.foreign({PurePosixPath(name).parts[0] for name in names})
        if foreign and folder.config.name not in names:
            raise ConfigError(
                f"{store.url} holds {foreign[0]} and no run: it would be removed; choose another "
                "--name, or move it away"
            )
        return
    sealed = within(ANSWER_S, store.url, store.sealed)
    if folder.in_use():  # a run that is only here is uploaded from here on
        if sealed:
            _check_same_run(store, folder, sealed[-1])
        return
    if not sealed:
        if within(ANSWER_S, store.url, store.names):
            raise ConfigError(
                f"--resume: {store.url} holds no whole checkpoint, and {folder.root} on this "
                "machine no run: begin again with --overwrite"
            )
        return
    if folder.root.is_dir() and any(folder.root.iterdir()):
        raise ConfigError(
            f"--resume: {folder.root} holds files, but no run: move them away, so that the run in "
            f"{store.url} can be fetched to there"
        )
    logger.info("%s: fetching %s to %s", store.url, sealed[-1], folder.root)
    folder.root.parent.mkdir(parents=True, exist_ok=True)
    with sole_run(folder):
        within(loop.checkpoint_timeout_s, store.url, lambda: store.fetch(folder.root))


def _check_same_run(store: RunStore, folder: RunFolder, newest: str) -> None:
    """Refuse to go on from a folder that is behind the store, or went another way.

    Args:
        newest: name of the store's newest whole checkpoint.
    """
    here = folder.latest()
    if here is None or here.name < newest:
        raise ConfigError(
            f"--resume: {store.url} has {newest}, and {folder.root} on this machine "
            f"{here.name if here else 'no whole checkpoint'}: remove that folder to go on from the "
            "store"
        )
    mine = folder.checkpoints / newest / CHECKSUMS
    name = mine.relative_to(folder.root).as_posix()
    if mine.exists() and within(ANSWER_S, store.url, lambda: store.read(name)) != mine.read_bytes():
        raise ConfigError(
            f"--resume: {newest} in {store.url} is another one than in {folder.root}: the run went "
            f"on in two places; remove that folder to go on from the store, or the store's {name} "
            "to replace what is there"
        )


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
    within(ANSWER_S, store.url, lease.acquire)
    uploads = Uploads(folder, store, lease, loop)
    try:
        yield uploads
    finally:
        uploads.close()
        try:
            within(ANSWER_S, store.url, lease.release)
        except ConfigError as error:
            logger.warning("%s", error)
