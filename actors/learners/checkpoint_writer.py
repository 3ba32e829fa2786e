"""CheckpointWriter: writes checkpoints while the run goes on, one at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path

from actors.config import LoopConfig
from actors.learners.group import LearnerGroup
from actors.runs.folder import POLICY, RunFolder
from actors.runs.store.uploads import Uploads
from curriculum.files import write_atomic

logger = logging.getLogger(__name__)


class CheckpointWriter:
    """Has the learner copy its state, and makes a checkpoint of it while the next steps run.

    The run waits for the copies only. A checkpoint is whole or absent at any time: it becomes one
    when every rank has written and the checksums are there, and those before stay until then. A
    write that fails ends the run before its next update, with the error that it failed with.
    """

    def __init__(
        self,
        learner: LearnerGroup,
        folder: RunFolder,
        loop: LoopConfig,
        uploads: Uploads | None = None,
    ) -> None:
        """Write the checkpoints of `learner` into `folder`, and have whole ones uploaded."""
        self._learner = learner
        self._folder = folder
        self._loop = loop
        self._uploads = uploads
        self._task: asyncio.Task[None] | None = None
        """Makes a checkpoint, until it was told how that ended."""
        self._awaited = False
        self._sealing = False

    async def begin(self, step: int, content: str, awaited: bool = False) -> None:
        """Begin a checkpoint, once the one before is written; returns when nothing that happens
        from then on is in it.

        Args:
            step: the RL step after which it is written.
            content: the state of the trainer.
            awaited: whether the next `check` waits for it.

        Raises:
            RunFailed: the disk lacks room, or became full.
            ActorLost: the learner is gone.
        """
        await self.finish()
        copied = asyncio.Event()
        self._awaited = awaited
        self._task = asyncio.create_task(self._make(step, content, copied))
        waiting = asyncio.create_task(copied.wait())
        try:
            await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not copied.is_set() or not self._loop.checkpoint_in_background:
            await self.finish()

    async def check(self) -> None:
        """Raise what a write failed with, if it did; waits for one that is `awaited`.

        Raises too if another run has taken the store that checkpoints are uploaded to.
        """
        if self._uploads is not None:
            self._uploads.check()
        if self._task and (self._task.done() or self._awaited):
            await self.finish()

    async def finish(self) -> None:
        """Wait for the checkpoint that is being written; raises what that failed with."""
        if self._task is None:
            return
        await asyncio.wait({self._task})
        task, self._task = self._task, None
        task.result()

    async def conclude(self) -> None:
        """Wait for the checkpoint that is being written, in a run that has failed already."""
        if self._task and not self._task.done():
            logger.info("the run has failed, and ends when its checkpoint is written")
        with suppress(asyncio.CancelledError):
            try:
                await self.finish()
            except Exception as error:
                logger.warning("the checkpoint that was being written is not whole: %s", error)

    async def abandon(self) -> None:
        """Leave the checkpoint that is being written, unless all its files are."""
        if self._task and not self._sealing:
            self._task.cancel()
        await self.conclude()

    async def _make(self, step: int, content: str, copied: asyncio.Event) -> None:
        loop, started = self._loop, time.monotonic()
        whole = self._folder.checkpoint(step, loop.keep_checkpoints, loop.keep_optimizer)
        try:
            async with self._sealed(whole) as partial:
                policy = partial / POLICY if loop.checkpoint_policy else None
                background = loop.checkpoint_in_background
                await self._learner.begin_checkpoint(partial / "learner", policy, background)
                copied_s = time.monotonic() - started
                copied.set()
                await self._learner.checkpoint_written()
                await asyncio.to_thread(write_atomic, partial / "trainer.json", content)
        finally:
            self._sealing = False
        logger.info(
            "checkpoint of step %d: the run waited %.2f s, written after %.2f s",
            step,
            copied_s,
            time.monotonic() - started,
        )
        if self._uploads is not None:
            self._uploads.request()

    @asynccontextmanager
    async def _sealed(self, whole: AbstractContextManager[Path]) -> AsyncIterator[Path]:
        """`RunFolder.checkpoint`, whose file operations would block the event loop."""
        partial = await asyncio.to_thread(whole.__enter__)
        try:
            yield partial
        except BaseException as error:
            self._sealing = True
            await asyncio.to_thread(whole.__exit__, type(error), error, error.__traceback__)
            raise
        self._sealing = True
        await asyncio.to_thread(whole.__exit__, None, None, None)
