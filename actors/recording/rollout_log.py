"""RolloutLog: chooses the groups of each step that are recorded, and has them written."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Protocol

from actors.errors import RunFailed
from actors.recording.rollout_file import StepRollouts
from actors.recording.writer import WriterLost
from actors.rollout.round import JudgedGroup

logger = logging.getLogger(__name__)

_LATE_S = 1.0
"""A wait for the file of the step before of which the user is told, once in a run [seconds]."""
_LOST = 3
"""Times that the writer may end over one step's file, before the run ends."""


class Writer(Protocol):
    """Writes the files of steps: a `WriterProcess`."""

    def write(self, rollouts: StepRollouts) -> None:
        """Write the file of one step; returns when it is on the disk."""
        ...

    def close(self) -> None:
        """End."""
        ...


class RolloutLog:
    """Chooses the groups of each step that are recorded, and has them written.

    The step after goes on while a file is written; the next file, a checkpoint and the end of the
    run wait for it. So what a checkpoint comes after is on the disk.

    Example:
        chosen = log.choose(finished.groups)
        ...                                     # the update, which copies the samples' values
        await log.write(step, chosen, values)
        await log.flush()                       # before a checkpoint
        await log.close()
    """

    def __init__(self, writer: Writer, groups: int | None, deadline_s: float) -> None:
        """Record by `writer`.

        Args:
            writer: has the folder.
            groups: most groups of a step; None records all.
            deadline_s: longest wait for a file [seconds].
        """
        self._writer = writer
        self._groups = groups
        self._deadline_s = deadline_s
        self._pending: asyncio.Task[None] | None = None
        self._told = False

    def places(self, problems: Sequence[str]) -> list[int]:
        """Which of these problems' groups are recorded: their places, in order.

        Problems have a fixed order that is unrelated to their content, and the first ones of it are
        taken: the same problem is met again in later steps. What is recorded of several rounds is
        among what is recorded of each.

        Args:
            problems: ids of the problems of a step, or of one of its rounds.
        """
        by_problem = sorted(range(len(problems)), key=lambda at: (_place(problems[at]), at))
        return sorted(by_problem[: self._groups])

    def choose(self, groups: Sequence[JudgedGroup]) -> tuple[JudgedGroup, ...]:
        """The groups to record, in the order of the step; all of them have their details."""
        places = self.places([group.subtask.problem.id for group in groups])
        return tuple(groups[at] for at in places)

    async def write(self, step: int, groups: Sequence[JudgedGroup], values: bytes) -> None:
        """Begin the file of one step, once the one before is written; nothing without a group.

        Args:
            step: the RL step that trained on the groups.
            groups: those chosen.
            values: of the samples that were trained on (`token_values.pack_values`).

        Raises:
            OSError, RunFailed, TimeoutError: as for `flush`.
        """
        began = time.monotonic()
        await self.flush()
        waited_s = time.monotonic() - began
        if waited_s > _LATE_S and not self._told:
            self._told = True
            logger.warning(
                "step %d waited %.1f s until the rollouts of the step before were written: record "
                "fewer groups (loop.record), or have the run's folder on a faster disk",
                step,
                waited_s,
            )
        details = tuple((g.subtask, g.packed_detail) for g in groups if g.packed_detail)
        if details:
            rewards = {s.sample_id: s.reward for group in groups for s in group.samples if s.reward}
            self._pending = asyncio.create_task(
                self._write(StepRollouts(step, details, rewards, values))
            )

    async def flush(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            OSError: a file could not be written.
            RunFailed: the writer ended over a file again and again.
            TimeoutError: a file took too long.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            await pending

    async def close(self) -> None:
        """End the writer, after a last file. A failure of that is logged, not raised: whoever
        needs the file has asked for `flush`."""
        try:
            await self.flush()
        except (OSError, RunFailed) as error:  # a TimeoutError is an OSError
            logger.warning("rollouts: %s", error)
        finally:
            await asyncio.to_thread(self._writer.close)

    async def _write(self, rollouts: StepRollouts) -> None:
        for lost in range(1, _LOST + 1):
            try:
                async with asyncio.timeout(self._deadline_s):
                    await asyncio.to_thread(self._writer.write, rollouts)
                return
            except TimeoutError:
                raise TimeoutError(
                    f"rollouts: the file of step {rollouts.step} was not written within "
                    f"{self._deadline_s:g} s (loop.checkpoint_timeout_s)"
                ) from None
            except WriterLost as error:
                logger.warning("rollouts: step %d is written again: %s", rollouts.step, error)
                if lost == _LOST:
                    raise RunFailed(f"rollouts: step {rollouts.step}: {error}") from error


def _place(problem: str) -> bytes:
    return hashlib.sha256(problem.encode()).digest()
