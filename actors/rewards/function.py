"""The user's reward function: found by its name, checked, called within a time limit."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias, cast

from actors.errors import RunFailed
from actors.rollout.samples import Sample
from curriculum.problem import Problem
from learner.reward import Reward
from sandbox import Verdict

RewardFunction: TypeAlias = Callable[
    [Problem, Sample, Verdict], float | tuple[float, Mapping[str, float]]
]
"""A pure function of a problem, a sample and its verdict: a number, or a number and named parts."""

_SIGNATURE = "(problem, sample, verdict)"


class RewardFunctionError(RunFailed):
    """A reward function that cannot be found or called, or that failed."""


def load_reward_function(name: str) -> RewardFunction:
    """The function `package.module:name`, importable here or from the working directory.

    Raises:
        RewardFunctionError: it cannot be imported, or does not take three arguments.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a script without a `__main__` guard exits
        raise RewardFunctionError(
            f"reward.function {name}: module {module_name} cannot be imported: "
            f"{_described(error)}; it is looked for in the environment and in {here}"
        ) from error
    function: Any = getattr(module, function_name, None)
    if not callable(function):
        raise RewardFunctionError(
            f"reward.function {name}: {getattr(module, '__file__', None) or module_name} has no "
            f"function {function_name}"
        )
    waits = any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))
    if waits or not _takes_three(function):
        kind = "async " if waits else ""
        raise RewardFunctionError(
            f"reward.function {name}: it is to be def {function_name}{_SIGNATURE}, not "
            f"{kind}def {function_name}{_signature(function)}"
        )
    return cast(RewardFunction, function)


async def call_on_each(
    name: str, function: RewardFunction, work: Sequence[tuple[Problem, Sample]], timeout_s: float
) -> AsyncIterator[Reward | RewardFunctionError]:
    """The function's reward of each sample, in order, or how it failed.

    It runs in a thread of its own, so that the event loop keeps watching the actors.

    Raises:
        RewardFunctionError: a call took longer than `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    results: asyncio.Queue[Reward | RewardFunctionError] = asyncio.Queue()
    given_up = threading.Event()

    def run() -> None:
        for problem, sample in work:
            if given_up.is_set():
                return
            result = _call(name, function, problem, sample)
            if not loop.is_closed():
                loop.call_soon_threadsafe(results.put_nowait, result)

    threading.Thread(target=run, name="reward-function", daemon=True).start()
    try:
        for problem, sample in work:
            try:
                async with asyncio.timeout(timeout_s):
                    result = await results.get()
            except TimeoutError:
                raise RewardFunctionError(
                    f"reward.function {name}: no answer within {timeout_s:g} s "
                    f"(reward.function_timeout_s) for sample {sample.sample_id} of problem "
                    f"{problem.id}"
                ) from None
            yield result
    finally:
        given_up.set()


def _call(
    name: str, function: RewardFunction, problem: Problem, sample: Sample
) -> Reward | RewardFunctionError:
    where = f"for sample {sample.sample_id} of problem {problem.id}"
    try:
        returned = function(problem, sample, sample.verdict)
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return RewardFunctionError(
            f"reward.function {name}: {_described(error)} ({frame.filename}:{frame.lineno}) {where}"
        )
    try:
        return _reward(returned)
    except (TypeError, OverflowError):
        return RewardFunctionError(
            f"reward.function {name}: returned {_short(returned)} {where}; expected a finite "
            "number, or such a number and a mapping of names to numbers"
        )


def _reward(returned: Any) -> Reward:
    """What a function returned, as a reward.

    Raises:
        TypeError: it is not a finite number, or such a number and its parts.
        OverflowError: a number is too large for a float.
    """
    pair: Any = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, {})
    value, parts = pair
    numbers = [value, *parts.values()] if isinstance(parts, Mapping) else [None]
    if not all(isinstance(each, Real) and math.isfinite(each) for each in numbers):
        raise TypeError
    return Reward(float(value), {str(part): float(each) for part, each in parts.items()})


def _short(returned: object) -> str:
    try:
        return f"{returned!r:.80}"
    except Exception:  # of the user's own class, or a number of thousands of digits
        return f"an object of {type(returned).__name__}"


def _signature(function: Callable[..., object]) -> str:
    try:
        return str(inspect.signature(function))
    except ValueError:  # of some functions written in C
        return "(...)"


def _takes_three(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
