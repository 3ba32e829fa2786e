"""Uploads: copies a run's files to its store while the run goes on, in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
import time
from pathlib import Path

from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.runs.folder import RunFolder, checkpoint_step
from actors.runs.store.lease import Lease
from actors.runs.store.objects import RunStore, run_files

logger = logging.getLogger(__name__)

RETRY_S = 300.0
"""Time for which one upload is tried again before it is given up until the next [seconds]."""
_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0
_CLOSE_S = 60.0
"""Longest wait for the last files of a run that failed [seconds]."""


class Uploads:
    """Uploads new and changed files, then the newest whole checkpoint, whenever it is asked.

    A store that is slow or away does not hold up the run: requests that come meanwhile are one, so
    that a checkpoint may be left out for a newer one. The end of a run waits for its last
    checkpoint. Files of the run are read after the checkpoint was chosen and go before it, so that
    it is never ahead of them.
    """

    def __init__(
        self,
        folder: RunFolder,
        store: RunStore,
        lease: Lease,
        loop: LoopConfig,
        retry_s: float = RETRY_S,
    ) -> None:
        """Begin; nothing is uploaded before the first request.

        Args:
            folder: of the run.
            store: where it goes.
            lease: held; without it nothing is sealed.
            loop: which checkpoints are kept, and how long the end of the run waits.
            retry_s: time for which one upload is tried [seconds].
        """
        self._folder = folder
        self._store = store
        self._lease = lease
        self._loop = loop
        self._retry_s = retry_s
        self._sent: dict[str, tuple[int, int]] = {}
        """Size and time of change of each file that was uploaded, by name."""
        self._change = threading.Condition()
        self._asked = self._ended = 0
        """Requests made, and of how many the upload has ended."""
        self._error: Exception | None = None
        """What the last upload ended with."""
        self._closing = threading.Event()
        self._step = -1
        self._failures = 0
        self._late_at = math.inf
        """When an upload that is under way takes too long, unless that was told."""
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def request(self) -> int:
        """Have what is there by now uploaded; returns at once, with the number of the request."""
        with self._change:
            self._asked += 1
            self._change.notify_all()
            return self._asked

    def check(self) -> None:
        """Raise if another run has taken the store; tell of an upload that does not end."""
        self._lease.check()
        if time.monotonic() > self._late_at:
            self._late_at = math.inf
            logger.warning(
                "%s: an upload has not ended within loop.checkpoint_timeout_s (%g s), and nothing "
                "goes there until it does; the run goes on (newest checkpoint there: %s)",
                self._store.url, self._loop.checkpoint_timeout_s, self._newest(),
            )  # fmt: skip

    def figures(self) -> dict[str, float]:
        """For the rows of `metrics.jsonl`."""
        return {"store/step": float(self._step), "store/failures": float(self._failures)}

    def finish(self) -> None:
        """Upload all that is there, and wait for it.

        Raises:
            RunFailed: it is not in the store, after retries or after `loop.checkpoint_timeout_s`.
        """
        error = self._wait(self.request(), self._loop.checkpoint_timeout_s)
        if error is not None:
            raise RunFailed(
                f"the run has ended, and {self._store.url} lacks files of it (newest checkpoint "
                f"there: {self._newest()}): {error}: all is whole in {self._folder.root}, from "
                "where the same command with --resume uploads it"
            ) from error

    def close(self) -> None:
        """Upload what a run that ends early leaves, for a minute at most, and stop.

        Nothing is uploaded where nothing was requested: the run has not begun, and what is in its
        folder may be of another one.
        """
        with self._change:
            behind = self._ended < self._asked or self._error is not None
            self._closing.set()
            last = self.request() if self._asked else 0
            self._change.notify_all()
        error = self._wait(last, _CLOSE_S)
        if error is not None and not behind:
            logger.warning("%s lacks the run's last files: %s", self._store.url, error)

    def _newest(self) -> str:
        return f"of step {self._step}" if self._step >= 0 else "none"

    def _wait(self, request: int, seconds: float) -> Exception | None:
        """What a request ended with; an error too where it has not ended in time."""
        with self._change:
            if self._change.wait_for(lambda: self._ended >= request, seconds):
                return self._error
        return TimeoutError(f"not uploaded within {seconds:g} s")

    # ------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._ended < self._asked or self._closing.is_set())
                asked = self._asked
            if asked == self._ended:
                return
            self._late_at = time.monotonic() + self._loop.checkpoint_timeout_s
            error = self._upload_with_retries()
            self._late_at = math.inf
            with self._change:
                self._ended, self._error = asked, error
                self._change.notify_all()

    def _upload_with_retries(self) -> Exception | None:
        began, delay_s = time.monotonic(), _FIRST_DELAY_S
        while True:
            try:
                self._upload()
                return None
            except Exception as error:
                self._failures += 1
                left_s = began + self._retry_s - time.monotonic()
                if left_s <= 0 or isinstance(error, RunFailed) or self._closing.is_set():
                    logger.warning(
                        "%s: not uploaded, the next checkpoint tries again: %s: %s",
                        self._store.url, type(error).__name__, error,
                    )  # fmt: skip
                    return error
                logger.info("%s: tried again: %s", self._store.url, error)
                self._closing.wait(min(delay_s, left_s))
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    def _upload(self) -> None:
        self._lease.look()
        checkpoint = self._folder.latest()
        if checkpoint is not None:
            self._folder.held = checkpoint.name
        try:
            for file in run_files(self._folder):
                self._put_if_changed(file)
            if checkpoint is None:
                return
            began = time.monotonic()
            if self._store.put_checkpoint(checkpoint, self._lease.look):
                seconds = time.monotonic() - began
                logger.info("%s: %s uploaded in %.1f s", self._store.url, checkpoint.name, seconds)
        finally:
            self._folder.held = None
        self._step = checkpoint_step(checkpoint)
        self._prune(checkpoint.name)

    def _prune(self, newest: str) -> None:
        try:
            self._store.prune(newest, self._loop.keep_checkpoints, self._loop.keep_optimizer)
        except Exception as error:  # all that has to be there is
            self._failures += 1
            logger.warning("%s: old checkpoints stay until the next upload: %s: %s",
                           self._store.url, type(error).__name__, error)  # fmt: skip

    def _put_if_changed(self, file: Path) -> None:
        name = file.relative_to(self._folder.root).as_posix()
        try:
            status = file.stat()
            now = (status.st_size, status.st_mtime_ns)
            if self._sent.get(name) != now:
                self._store.put(file, name)
                self._sent[name] = now
        except FileNotFoundError:
            if file.exists():
                raise  # the store's, not a file's that was there for a moment
