"""Following a job: Ctrl-C counts even where the client would swallow a cancellation."""

from __future__ import annotations

import asyncio
import os
import signal

from deploy.local_job import _interrupted_before_end


async def deaf_for_once() -> None:
    """Swallow the first cancellation, as a client in the middle of a message can."""
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0)


def test_an_interrupt_is_not_lost_when_a_cancellation_is() -> None:
    assert asyncio.run(_interrupted_before_end(deaf_for_once()))


def test_work_that_ends_by_itself_was_not_interrupted() -> None:
    assert not asyncio.run(_interrupted_before_end(asyncio.sleep(0)))
