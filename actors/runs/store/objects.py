"""RunStore: the files of one run below a URL, in any file system that fsspec reaches.

A checkpoint's seal, its `checksums.json`, is written last and removed first, so that no reader ever
takes a part of a checkpoint for the whole of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from actors.errors import RunFailed
from actors.runs.checksums import CHECKSUMS, find_corruption
from actors.runs.disk import free_bytes, size_text
from actors.runs.folder import POLICY, RunFolder

logger = logging.getLogger(__name__)

LEASE = "writer.json"
"""Object that names the run that writes there (`actors.runs.store.lease`)."""
CHECKPOINTS = "checkpoints"
LATEST = f"{CHECKPOINTS}/latest"


@dataclass(frozen=True)
class StoredObject:
    """An object as its store lists it."""

    size: int
    """Bytes."""
    version: str
    """A digest of its time, size and what else is told: another one when it is replaced."""

    @classmethod
    def of(cls, facts: dict[str, Any]) -> StoredObject:
        """From what the file system says of it."""
        text = repr(sorted(facts.items()))
        return cls(facts.get("size") or 0, hashlib.sha256(text.encode()).hexdigest()[:16])


class RunStore:
    """The objects of one run, by the paths that its files have in the run's folder.

    Every method raises what the file system raises; none waits for longer than that does.
    """

    def __init__(self, url: str) -> None:
        """Open the file system; reaches nothing yet.

        Args:
            url: of the run, such as `s3://bucket/runs/hot`.

        Raises:
            ImportError: the library for this kind of URL is not installed; names it.
            ValueError: there is no such kind.
        """
        self.url = url.rstrip("/")
        self.fs: Any
        self.fs, self._root = fsspec.url_to_fs(self.url)

    def path(self, name: str) -> str:
        """What the file system calls an object."""
        return f"{self._root}/{name}"

    # ------------------------------------------------------------------------------ reading

    def names(self) -> set[str]:
        """Every object of the run but the lease."""
        return {*self.objects()}

    def objects(self) -> dict[str, StoredObject]:
        """Every object of the run but the lease, by name."""
        self.fs.invalidate_cache()
        root = f"{self._root.strip('/')}/"
        objects: dict[str, StoredObject] = {}
        for path, facts in self.fs.find(self._root, detail=True).items():
            name = path.lstrip("/").removeprefix(root)
            below = path.lstrip("/").startswith(root)
            # The consoles of some stores make a folder by an object whose name ends with a slash.
            if below and name and not name.endswith("/") and name != LEASE:
                objects[name] = StoredObject.of(facts)
        return objects

    def runs_below(self, most: int) -> list[str]:
        """URLs of runs of which this is the folder and no run itself, at most so many."""
        try:
            children = sorted(self.fs.ls(self._root, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = (child.rstrip("/").rpartition("/")[2] for child in children)
        found = (name for name in names if self.fs.exists(self.path(f"{name}/config.yaml")))
        return [f"{self.url}/{name}" for name in islice(found, most)]

    def read(self, name: str) -> bytes | None:
        """An object's content; None where there is none."""
        try:
            return self.fs.cat_file(self.path(name))
        except FileNotFoundError:
            return None

    def sealed(self) -> list[str]:
        """Names of the checkpoints that are whole, the oldest first."""
        return sealed_checkpoints(self.names())

    def fetch(self, root: Path) -> str | None:
        """Copy the run to a folder that does not exist: its files, and the newest whole checkpoint.

        The folder has a temporary name until all is there.

        Returns:
            Name of the checkpoint; None where no checkpoint is whole, and nothing was copied.

        Raises:
            RunFailed: the disk has not enough room.
            ValueError: the name of an object leads out of the folder.
        """
        objects = self.objects()
        names = {*objects}
        files = [name for name in names if not name.startswith(f"{CHECKPOINTS}/")]
        partial = root.with_name(f"{root.name}.fetched")
        shutil.rmtree(partial, ignore_errors=True)
        for checkpoint in reversed(sealed_checkpoints(names)):
            folder = partial / CHECKPOINTS / checkpoint
            parts = names_below(names, f"{CHECKPOINTS}/{checkpoint}")
            self._check_room(root.parent, sum(objects[name].size for name in (*parts, *files)))
            for name in parts:
                self.get(name, partial)
            if (corruption := find_corruption(folder)) is None:
                break
            logger.warning("%s: %s is corrupt and not used: %s", self.url, checkpoint, corruption)
            shutil.rmtree(folder)
        else:
            shutil.rmtree(partial, ignore_errors=True)
            return None
        for name in files:
            self.get(name, partial)
        (partial / LATEST).write_text(f"{checkpoint}\n")
        partial.rename(root)
        return checkpoint

    def _check_room(self, place: Path, needed: int) -> None:
        free = free_bytes(place)
        if free < needed:
            raise RunFailed(
                f"{self.url} was not fetched: it takes about {size_text(needed)}, and "
                f"{size_text(free)} is free in {place}: free space there, or set staging_dir to a "
                "larger file system"
            )

    def get(self, name: str, root: Path) -> None:
        """Copy an object to a file below a folder.

        Raises:
            ValueError: its name leads out of the folder.
        """
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"the object {name!r} is none of a run")
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(self.path(name), str(target))

    # ------------------------------------------------------------------------------ writing

    def write(self, name: str, content: bytes) -> None:
        """Write an object at once."""
        self._make_parent(name)
        self.fs.pipe_file(self.path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that is not there; whether it was not.

        Of several that do so at a time one succeeds, as far as the store tells them apart.
        """
        self._make_parent(name)
        try:
            self.fs.pipe_file(self.path(name), content, mode="create")
        except FileExistsError:
            return False
        except Exception:  # such as NotImplemented; what else is wrong is wrong again below
            if self.read(name) is not None:
                return False
            self.write(name, content)
        return True

    def remove(self, *names: str) -> None:
        """Remove objects that may be there."""
        for name in names:
            try:
                self.fs.rm_file(self.path(name))
            except FileNotFoundError:
                continue

    def put(self, file: Path, name: str) -> None:
        """Copy a file to an object."""
        self._make_parent(name)
        self.fs.put_file(str(file), self.path(name))

    def put_checkpoint(self, folder: Path, allowed: Callable[[], None]) -> bool:
        """Copy a whole checkpoint, its seal last; whether it was not there already.

        Args:
            folder: of the checkpoint.
            allowed: called before each object; what it raises leaves the checkpoint unsealed.

        Raises:
            FileNotFoundError, RuntimeError: it was removed or replaced meanwhile, and is unsealed.
        """
        at, seal = f"{CHECKPOINTS}/{folder.name}", (folder / CHECKSUMS).read_bytes()
        stored = self.read(f"{at}/{CHECKSUMS}")
        if stored != seal:
            if stored is not None:
                self.remove(f"{at}/{CHECKSUMS}")
            self._put_unsealed(folder, at, seal, allowed)
            allowed()
            self.write(f"{at}/{CHECKSUMS}", seal)
        latest = f"{folder.name}\n".encode()
        if self.read(LATEST) != latest:
            self.write(LATEST, latest)
        return stored != seal

    def _put_unsealed(
        self, folder: Path, at: str, seal: bytes, allowed: Callable[[], None]
    ) -> None:
        # By the seal, for a walk takes what is left of a folder that is being removed for all.
        for name in json.loads(seal):
            allowed()
            self.put(folder / name, f"{at}/{name}")
        if (folder / CHECKSUMS).read_bytes() != seal:
            raise RuntimeError(f"{folder} was replaced while it was uploaded")

    def prune(self, newest: str, keep: int, keep_whole: int | None) -> None:
        """Remove old checkpoints by the rule of `RunFolder.checkpoint`, and what is left of uploads
        that were given up: they count as none.

        Args:
            newest: name of the checkpoint that was uploaded; a list may not have its seal yet.
            keep, keep_whole: as there.
        """
        names = self.names()
        sealed = sorted({*sealed_checkpoints(names), newest})
        found = {PurePosixPath(name).parts[1] for name in names if _in_a_checkpoint(name)}
        # Of old ones the policy is left without a seal, but none is newer than a sealed one.
        newer = (name for name in found.difference(sealed) if name > sealed[0])
        given_up = {at for at in newer if self.read(f"{CHECKPOINTS}/{at}/{CHECKSUMS}") is None}
        every = sorted({newest, *found} - given_up)
        policies_alone = set(every[-keep:-keep_whole]) if keep_whole else set[str]()
        for checkpoint in (*given_up, *every[:-keep]):
            self._remove_seals_first(names_below(names, f"{CHECKPOINTS}/{checkpoint}"))
        for checkpoint in policies_alone:
            kept = f"{CHECKPOINTS}/{checkpoint}/{POLICY}/"
            parts = names_below(names, f"{CHECKPOINTS}/{checkpoint}")
            self._remove_seals_first([name for name in parts if not name.startswith(kept)])

    def clear(self) -> None:
        """Remove the run, but not its lease."""
        self._remove_seals_first(list(self.names()))

    def _remove_seals_first(self, names: list[str]) -> None:
        self.remove(*sorted(names, key=lambda name: PurePosixPath(name).name != CHECKSUMS))
        if not self.fs.async_impl:
            parents = {parent for name in names for parent in PurePosixPath(name).parents[:-1]}
            for parent in sorted(parents, key=lambda parent: -len(parent.parts)):
                with suppress(OSError):
                    # There are file systems whose `rmdir` removes what is in the folder.
                    if not self.fs.ls(path := self.path(str(parent)), detail=False):
                        self.fs.rmdir(path)

    def _make_parent(self, name: str) -> None:
        # An object store has no folders, and `makedirs` there may make a bucket.
        if not self.fs.async_impl:
            self.fs.makedirs(self.fs._parent(self.path(name)), exist_ok=True)


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder."""
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            if (file := Path(folder) / name).is_file():  # no link that leads nowhere
                yield file


def run_files(folder: RunFolder) -> Iterator[Path]:
    """Every file of a run that is not of a checkpoint, nor half written (by `write_atomic`,
    `rollout_file` or `learner.zero.export`).
    """
    for file in files_below(folder.root):
        half = file.suffix == ".partial"
        half |= file.relative_to(folder.root).parts[0].startswith(".")
        if not half and not file.is_relative_to(folder.checkpoints):
            yield file


def _in_a_checkpoint(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[0] == CHECKPOINTS and parts[1].startswith("step-")


def sealed_checkpoints(names: set[str]) -> list[str]:
    """Names of the whole checkpoints among the objects of a run, the oldest first."""
    seals = (PurePosixPath(name) for name in names if _in_a_checkpoint(name))
    return sorted(seal.parts[1] for seal in seals if seal.parts[2:] == (CHECKSUMS,))


def names_below(names: set[str], prefix: str) -> list[str]:
    """Names of the objects in a folder."""
    return sorted(name for name in names if name.startswith(f"{prefix}/"))
