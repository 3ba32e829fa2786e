"""Lease: one run at a time writes below a URL, as far as an object store can tell.

An object names the run that writes and when it last said so. A store that creates an object only
where there is none lets one of several beginners in; elsewhere the last one wins, and the others
end when they next look. A run that was killed leaves its lease, which counts until it is old.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from actors.errors import RunFailed
from actors.runs.store.objects import LEASE, RunStore

logger = logging.getLogger(__name__)

RENEW_S = 60.0
"""Time between two renewals [seconds]."""
EXPIRES_S = 300.0
"""A lease that was not renewed for so long is no longer held [seconds]."""
_JOIN_S = 10.0
"""Longest wait for a renewal under way [seconds]."""
_READ_AGAIN_S = (0.1, 0.4, 1.0)
"""Pauses after which a lease that makes no sense is read again [seconds]: file systems, other than
object stores, show a part of one that is being written."""


class Lease:
    """Held from `acquire` to `release`; a thread renews it.

    Example:
        lease = Lease(store, folder.root)
        lease.acquire()
        lease.check()      # raises once another run has taken it
        lease.release()
    """

    def __init__(self, store: RunStore, folder: Path, renew_s: float = RENEW_S) -> None:
        """A lease of the run whose local files are in `folder`, of which this is the only writer.

        Args:
            store: the run's objects.
            folder: of the run on this machine.
            renew_s: time between two renewals [seconds].
        """
        self._store = store
        self._renew_s = renew_s
        self._folder = folder
        self._own = {"token": uuid.uuid4().hex, "pid": os.getpid(), "folder": str(folder),
                     "host": platform.node(), "boot": _boot_id()}  # fmt: skip
        self._access = threading.Lock()
        self._taken_by = ""
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="store-lease", daemon=True)

    def acquire(self) -> None:
        """Become the writer.

        The lease of an earlier process that had this folder is taken over at once: who holds the
        folder's lock knows that it has ended.

        Raises:
            RunFailed: another run holds the lease.
        """
        if not self._store.create(LEASE, self._content()):
            self.check_free()
            self._write()
        self._thread.start()

    def check_free(self) -> None:
        """Whether `acquire` would succeed now.

        Raises:
            RunFailed: another run holds the lease.
        """
        other = self._read() or {}
        own = self._own | {"inode": _inode(self._folder.parent)}
        here = all(other.get(key) == own[key] for key in ("host", "boot", "folder", "inode"))
        age_s = time.time() - other.get("time", 0.0)
        if not here and age_s < EXPIRES_S:
            raise RunFailed(
                f"another run is under way in {self._store.url} ({_holder(other)}): wait for its "
                "end or stop it, or choose another --name; if it is gone, try again in "
                f"{EXPIRES_S - age_s:.0f} s"
            )

    def check(self) -> None:
        """Whether the lease is still held, by what the last renewal saw.

        Raises:
            RunFailed: another run has taken it.
        """
        if self._taken_by:
            raise RunFailed(
                f"another run has taken {self._store.url} ({self._taken_by}), as this one was not "
                f"heard of there for {EXPIRES_S:g} s or both began at a time: only one may write"
            )

    def look(self) -> None:
        """`check`, by what the store says now."""
        other = self._read()
        if other and other["token"] != self._own["token"]:
            self._taken_by = _holder(other)
        self.check()

    def release(self) -> None:
        """End the renewals, and give the lease back if it is still held."""
        self._released.set()
        self._thread.join(_JOIN_S)
        try:
            self.look()
            self._store.remove(LEASE)
        except RunFailed:
            return
        except Exception as error:
            logger.warning("%s: its %s stays, and counts for %g s: %s", self._store.url, LEASE,
                           EXPIRES_S, error)  # fmt: skip

    def _renew(self) -> None:
        while not self._released.wait(self._renew_s):
            try:
                self.look()
                if not self._released.is_set():
                    self._write()
            except RunFailed as error:
                logger.error("%s", error)
                return
            except Exception as error:
                logger.info("%s: the lease was not renewed: %s", self._store.url, error)

    def _content(self) -> bytes:
        now = {"inode": _inode(self._folder.parent), "time": round(time.time(), 3)}
        return json.dumps(self._own | now).encode()

    def _write(self) -> None:
        with self._access:
            self._store.write(LEASE, self._content())

    def _read(self) -> dict[str, Any] | None:
        """The lease; None where there is none, and empty where it is nobody's."""
        for pause_s in (*_READ_AGAIN_S, None):
            with self._access:  # no part of what this process writes
                content = self._store.read(LEASE)
            if content is None:
                return None
            try:
                lease = dict(json.loads(content))
                return lease | {"token": str(lease["token"]), "time": float(lease["time"])}
            except (ValueError, TypeError, LookupError):
                if pause_s is not None:
                    time.sleep(pause_s)
        return {}


def _holder(lease: dict[str, Any]) -> str:
    return f"process {lease.get('pid', '?')} on {lease.get('host', 'an unknown host')}"


def _boot_id() -> str:
    """Differs between machines that have one name, and between starts of a machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _inode(folder: Path) -> list[int] | None:
    """Differs between folders that have one path in two containers of a machine."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return [status.st_dev, status.st_ino]
