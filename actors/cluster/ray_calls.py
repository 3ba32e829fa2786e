"""Waiting for Ray calls: with a deadline, and with errors that name what failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.errors import ActorLost, RunFailed
from learner.errors import LearnerError
from sandbox import SandboxError

USER_ERRORS = (RunFailed, SandboxError, LearnerError, OSError, ValueError, ArithmeticError)
"""Errors that are about the run's inputs or surroundings rather than our code."""

_Answer = TypeVar("_Answer")

_MOST_NAMED = 10
"""Actors or places that a message names."""

_POLL_S = 1.0
"""Time between two calls of an actor that is being restarted [seconds]."""


async def gather(what: str, calls: Sequence[Any], deadline_s: float, key: str = "") -> list[Any]:
    """The results of `calls` (Ray object references), in their order.

    Args:
        what: names the calls in error messages.
        calls: calls under way.
        deadline_s: longest wait for all of them [seconds].
        key: the setting that has the deadline, for the message.

    Raises:
        TimeoutError: not all answered in time; the message says which did not.
        ActorLost: an actor died.
        RunFailed: an actor could not do it for a reason that a person can act on.
        RayTaskError: an actor's method failed otherwise: a bug, with the actor's stack trace.
    """
    waiting = [asyncio.ensure_future(_result(what, call)) for call in calls]
    try:
        async with asyncio.timeout(deadline_s):
            return list(await asyncio.gather(*waiting))
    except TimeoutError:
        silent = [str(i) for i, call in enumerate(waiting) if not call.done() or call.cancelled()]
        limit = f"{deadline_s:g} s" + (f" ({key})" if key else "")
        if len(calls) == 1:
            raise TimeoutError(f"{what}: no answer within {limit}") from None
        raise TimeoutError(
            f"{what}: {len(calls) - len(silent)} of {len(calls)} answered within {limit}; "
            f"nothing from number {some_of(silent)}"
        ) from None
    finally:
        for call in waiting:
            call.cancel()


def ask_everywhere(
    what: str,
    function: Callable[..., _Answer],
    places: Mapping[str, Mapping[str, Any]],
    deadline_s: float,
    *arguments: Any,
) -> dict[str, _Answer]:
    """Call a function once in each place of the cluster, side by side, before anything is loaded.

    Args:
        what: is asked, for the message, such as `whether it sees FOLDER`.
        function: what runs there, with `arguments`; needs no CPU that is reserved.
        places: Ray options by a name for the message, such as `on_node(...)`.
        deadline_s: longest wait for all of them (`placement.timeout_s`) [seconds].
        arguments: of the function.

    Raises:
        RunFailed: names the places that did not answer in time, or whose answer was an error.
    """
    task: Any = ray.remote(function)
    calls = {
        name: task.options(num_cpus=0, max_retries=0, **options).remote(*arguments)
        for name, options in places.items()
    }
    done: set[Any] = set()
    if calls:
        done = set(ray.wait(list(calls.values()), num_returns=len(calls), timeout=deadline_s)[0])
    answers: dict[str, _Answer] = {}
    failures: list[str] = []
    for name, call in calls.items():
        try:
            if call in done:
                answers[name] = ray.get(call)
            else:
                failures.append(f"{name}: no answer")
        except RayTaskError as error:
            failures.append(f"{name}: {error.cause!r}")
        except RayError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise RunFailed(
            f"{len(failures)} of {len(calls)} places did not say within {deadline_s:g} s "
            f"(placement.timeout_s) {what}:\n  " + some_of(failures, "\n  ")
        )
    return answers


def some_of(parts: Sequence[str], separator: str = ", ") -> str:
    """The first few of these, and how many more there are: a message about thousands is short."""
    shown = list(parts[:_MOST_NAMED])
    if len(parts) > len(shown):
        shown.append(f"and {len(parts) - len(shown):,} more")
    return separator.join(shown)


def on_node(node: str) -> dict[str, Any]:
    """Ray options of what runs on the node with this id, and nowhere else."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


async def wait_for_all(calls: Sequence[Any], deadline_s: float) -> None:
    """Wait until every call has ended, in whatever way, at most `deadline_s` seconds."""
    if calls:
        waiting = list(calls)
        await asyncio.to_thread(ray.wait, waiting, num_returns=len(calls), timeout=deadline_s)


async def wait_until_restarted(what: str, call: Callable[[], Any], deadline_s: float) -> None:
    """Wait until Ray has restarted an actor that was killed.

    Ray tells nobody when an actor is up again, and fails every call made before; so it is called
    until a call succeeds.

    Args:
        what: names the actor in error messages.
        call: calls a method of the actor that returns at once.
        deadline_s: longest wait [seconds].

    Raises:
        ActorLost: the actor is not up in time, for want of resources for instance.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        await asyncio.sleep(_POLL_S)
        try:
            await gather(what, [call()], deadline_s)
            return
        except (ActorLost, TimeoutError) as error:
            if time.monotonic() > deadline:
                raise ActorLost(f"{error}; not restarted within {deadline_s:g} s") from error


async def find_dead_actor(what: str, calls: Sequence[Any], deadline_s: float) -> ActorLost | None:
    """The death of an actor among these calls, if one is reported within `deadline_s` seconds."""
    waiting = {asyncio.ensure_future(_result(what, call)) for call in calls}
    try:
        async with asyncio.timeout(deadline_s):
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


async def _result(what: str, call: Any) -> Any:
    try:
        return await call
    except RayActorError as error:
        raise ActorLost(f"{what}: the actor died: {error}") from error
    except RayTaskError as error:
        if isinstance(error.cause, ActorLost):
            raise ActorLost(f"{what}: {error.cause}") from error
        if isinstance(error.cause, USER_ERRORS):
            raise RunFailed(f"{what}: {error.cause}") from error
        raise


def no_options(_index: int) -> dict[str, Any]:
    """Ray options of an actor that has no placement: none."""
    return {}
