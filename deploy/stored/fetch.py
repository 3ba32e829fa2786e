"""What commands read of a run in an object store: fetched to a folder of this machine.

runs/fetched/<digest of the URL>/<name>/      the files, by their paths in the run
                                 objects.json which objects these are copies of

A second command fetches only what has changed there, and removes what is no longer there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from actors.runs.disk import free_bytes, size_text
from actors.runs.folder import RunFolder
from actors.runs.store.objects import RunStore, StoredObject, names_below, sealed_checkpoints
from curriculum.files import write_atomic
from deploy.config.places import check_url, is_meant_as_url, is_url
from deploy.errors import ConfigError
from deploy.progress import StageProgress
from deploy.sole_writer import sole_writer
from deploy.stored.listing import MOST, holds
from deploy.stored.reach import ANSWER_S, open_run, within

FETCHED = Path("runs") / "fetched"
OBJECT_S = 3600.0
"""Longest wait for one object [seconds]."""
_LISTS = 3
"""Times that a run is listed which changes while it is fetched."""

Wanted = Callable[[set[str]], set[str]]
"""From the names of a run's objects to those that are read; none where it is no run."""

_RUN = RunFolder(Path())
_FIGURES = {
    str(path)
    for path in (_RUN.config, _RUN.metrics, _RUN.evaluations, _RUN.curriculum, _RUN.result)
}


def figures(names: set[str]) -> set[str]:
    """What a report reads: all but rollouts, checkpoints and weights."""
    return names & _FIGURES if str(_RUN.config) in names else set()


def rollouts(names: set[str]) -> set[str]:
    """Figures and recorded rollouts."""
    found = figures(names)
    return found.union(names_below(names, str(_RUN.rollouts))) if found else found


def rollouts_and_checkpoints(names: set[str]) -> set[str]:
    """The same, and every whole checkpoint."""
    return rollouts(names).union(*(checkpoint(names, at) for at in sealed_checkpoints(names)))


def checkpoint(names: set[str], name: str) -> set[str]:
    """Figures and one checkpoint."""
    found = figures(names)
    return found.union(names_below(names, f"{_RUN.checkpoints}/{name}")) if found else found


def model(names: set[str]) -> set[str]:
    """The policy of a run, or all of a model folder."""
    if str(_RUN.config) in names:
        return {str(_RUN.config), *names_below(names, str(_RUN.policy))}
    return names if "config.json" in names else set()


def local_folder(place: str, wanted: Wanted) -> Path:
    """The folder of a run: itself, or what is wanted of one at a URL, fetched.

    Raises:
        ConfigError: the URL cannot be read, or holds no run.
    """
    if is_meant_as_url(place):
        raise ConfigError(
            f"{place}: neither a folder nor a URL, which begins as `s3://` does, without a "
            "chain of several"
        )
    return fetch(place, wanted) if is_url(place) else Path(place)


def fetch(url: str, wanted: Wanted) -> Path:
    """Copy what is wanted of a run in a store to its folder below `FETCHED`.

    Raises:
        ConfigError: the store cannot be read, holds no run there, or the disk has not enough room.
    """
    try:
        check_url(url)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    store = open_run(url)
    digest = hashlib.sha256(store.url.encode()).hexdigest()[:8]
    folder = FETCHED.absolute() / digest / store.url.rpartition("/")[2]
    try:
        with sole_writer(folder, f"{store.url}: another command is fetching it to {folder}"):
            return _fetched(store, folder, wanted)
    finally:
        with suppress(OSError):
            folder.parent.rmdir()  # where nothing was fetched


def _fetched(store: RunStore, folder: Path, wanted: Wanted) -> Path:
    for _ in range(_LISTS):
        objects = within(ANSWER_S, store.url, store.objects)
        names = wanted({*objects})
        if not names:
            runs = within(ANSWER_S, store.url, lambda: store.runs_below(MOST + 1))
            what = "no run there" if objects else "nothing is there"
            raise ConfigError(f"{store.url}: {what} (no config.yaml){holds(runs)}")
        try:
            _Copy(store, folder, objects).update(names)
            return folder
        except ConfigError as error:
            # Checkpoints are removed while a run goes on: look again what there is.
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
    raise ConfigError(f"{store.url}: it changes faster than it is fetched: try again")


class _Copy:
    """Files that are copies of objects, and of which versions."""

    def __init__(self, store: RunStore, folder: Path, objects: dict[str, StoredObject]) -> None:
        self._store, self._folder, self._objects = store, folder, objects
        self._index = folder.with_name("objects.json")
        self._versions: dict[str, str] = {}
        with suppress(OSError, ValueError):
            self._versions = json.loads(self._index.read_text())

    def update(self, names: set[str]) -> None:
        """Fetch what is new or changed of these; remove every file whose object is gone."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._versions.keys() - self._objects.keys():
            self._remove(name)
        stale = sorted(name for name in names if not self._is_current(name))
        if not stale:
            return
        size = sum(self._objects[name].size for name in stale)
        free = free_bytes(self._folder)
        if free < size:
            raise ConfigError(
                f"{self._store.url}: about {size_text(size)} are to be fetched, and "
                f"{size_text(free)} is free in {self._folder}: free space, or start the command in "
                "a folder on a larger file system"
            )
        try:
            with StageProgress() as progress:
                where = f"{self._store.url} to {self._folder}"
                what = f"{len(stale)} files ({size_text(size)})"
                progress.begin(f"fetching {what} of {where}", len(stale))
                for name in stale:
                    get = partial(self._store.get, name, self._folder)
                    within(OBJECT_S, f"{self._store.url}/{name}", get)
                    self._versions[name] = self._objects[name].version
                    progress.step()
        finally:
            write_atomic(self._index, json.dumps(self._versions))

    def _is_current(self, name: str) -> bool:
        version = self._objects[name].version
        return self._versions.get(name) == version and (self._folder / name).is_file()

    def _remove(self, name: str) -> None:
        del self._versions[name]
        path = self._folder / name
        path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds another file
            while path.parent != self._folder:
                path = path.parent
                path.rmdir()
