"""Waiting for Ray calls: with a deadline, and with failures that name who failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from ray.exceptions import RayActorError, RayTaskError

from actors.errors import ActorLost, RunFailed
from sandbox import SandboxError

ACTIONABLE = (RunFailed, SandboxError, OSError, ValueError, ArithmeticError)
"""Causes that are about the run's inputs or surroundings rather than our code."""

_PAUSE_S = 1.0
"""Time between questions to an actor that is being started again [seconds]."""


async def answers(what: str, calls: Sequence[Any], deadline_s: float) -> list[Any]:
    """The results of `calls` (Ray object references), in their order.

    Raises:
        TimeoutError: not all answered within `deadline_s` seconds; names `what` and who did not.
        ActorLost: an actor died.
        RunFailed: an actor could not do it for a reason a person can act on.
        RayTaskError: an actor's method failed otherwise: a bug, with the actor's stack trace.
    """
    waiting = [asyncio.ensure_future(_answer(what, call)) for call in calls]
    try:
        async with asyncio.timeout(deadline_s):
            return list(await asyncio.gather(*waiting))
    except TimeoutError:
        silent = [str(i) for i, call in enumerate(waiting) if not call.done() or call.cancelled()]
        raise TimeoutError(
            f"{what}: {len(calls) - len(silent)} of {len(calls)} answered within {deadline_s:g} s; "
            f"nothing from number {', '.join(silent)}"
        ) from None
    finally:
        for call in waiting:
            call.cancel()


async def reborn(what: str, ask: Callable[[], Any], deadline_s: float) -> None:
    """Wait until Ray has started an actor again; until then it fails what it is asked.

    Args:
        what: is said where it fails.
        ask: calls a method of the actor that answers at once.
        deadline_s: longest wait [seconds].

    Raises:
        ActorLost: it has not within the deadline, for want of a place for instance.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        await asyncio.sleep(_PAUSE_S)
        try:
            await answers(what, [ask()], deadline_s)
            return
        except (ActorLost, TimeoutError) as error:
            if time.monotonic() > deadline:
                raise ActorLost(f"{error}; not started again in time") from error


async def lost(what: str, calls: Sequence[Any], grace_s: float) -> ActorLost | None:
    """The death of an actor among these calls, if one comes to light within `grace_s` seconds."""
    waiting = {asyncio.ensure_future(_answer(what, call)) for call in calls}
    try:
        async with asyncio.timeout(grace_s):
            for call in asyncio.as_completed(waiting):
                try:
                    await call
                except ActorLost as error:
                    return error
                except (RunFailed, RayTaskError):
                    continue
    except TimeoutError:
        pass
    finally:
        for call in waiting:
            call.cancel()
    return None


async def _answer(what: str, call: Any) -> Any:
    try:
        return await call
    except RayActorError as error:
        raise ActorLost(f"{what}: the actor died: {error}") from error
    except RayTaskError as error:
        if isinstance(error.cause, ActorLost):
            raise ActorLost(f"{what}: {error.cause}") from error
        if isinstance(error.cause, ACTIONABLE):
            raise RunFailed(f"{what}: {error.cause}") from error
        raise


def no_options(index: int) -> dict[str, Any]:
    """Ray options of an actor that nobody places: none."""
    return {}
