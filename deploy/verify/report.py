"""Does a problem's own solution pass its tests? Each runs several times, on all sandboxes."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from curriculum.datasets.formats.apps import PREAMBLE
from curriculum.problem import Problem
from sandbox import Job, Outcome, Verdict

POLL_SECONDS = 0.5
"""How often a waiting thread looks whether it should end."""


class Cause(StrEnum):
    """What came of a problem. The first two are kept."""

    passed = "passed"
    repaired = "repaired"
    """It passes behind the standard imports that its solution takes for granted."""
    syntax_error = "syntax_error"
    missing_library = "missing_library"
    wrong_output = "wrong_output"
    runtime_error = "runtime_error"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    flaky = "flaky"
    """Some runs pass and some do not."""
    infra_error = "infra_error"
    """The sandbox failed, which says nothing about the problem; the next run asks again."""


KEPT = frozenset({Cause.passed, Cause.repaired})
_CAUSES = {
    Outcome.passed: Cause.passed,
    Outcome.failed: Cause.wrong_output,
    Outcome.runtime_error: Cause.runtime_error,
    Outcome.compile_error: Cause.syntax_error,
    Outcome.timeout: Cause.timeout,
    Outcome.out_of_memory: Cause.out_of_memory,
    Outcome.infra_error: Cause.infra_error,
}
_LIBRARY = re.compile(r"(ModuleNotFoundError|ImportError)\b")
_NAME = re.compile(r"NameError\b")


@dataclass(frozen=True)
class Finding:
    """What came of one problem."""

    problem: Problem
    """As it is to be kept: repaired where the cause says so."""
    cause: Cause
    detail: str = ""
    """What went wrong, in the sandbox's words; for repaired ones what would have gone wrong."""
    runs: int = 0
    """How often it was run."""


class Slot(Protocol):
    """What verification needs of a sandbox."""

    def run(self, job: Job) -> Verdict:
        """Run one program."""
        ...


def examine(problem: Problem, slot: Slot, runs: int) -> Finding:
    """Run a problem's solution `runs` times; two runs settle that it does not pass.

    A solution that fails for a name it does not define is run again behind the standard imports
    (`curriculum.datasets.formats.apps.PREAMBLE`), which repairs it if it then passes every time.
    """
    first = _examine(problem, slot, runs)
    if first.cause is Cause.runtime_error and _NAME.match(first.detail):
        repaired = problem.model_copy(update={"preamble": PREAMBLE + problem.preamble})
        again = _examine(repaired, slot, runs)
        if again.cause is Cause.passed:
            return Finding(repaired, Cause.repaired, first.detail, first.runs + again.runs)
    return first


def _examine(problem: Problem, slot: Slot, runs: int) -> Finding:
    job = Job.for_program(problem, problem.program)
    failure: Verdict | None = None
    passes = failures = 0
    while passes + failures < runs and failures < 2:
        verdict = slot.run(job)
        if verdict.outcome is Outcome.infra_error:
            detail = verdict.error or ""
            return Finding(problem, Cause.infra_error, detail, passes + failures + 1)
        if verdict.outcome is Outcome.passed:
            passes += 1
        else:
            failure, failures = failure or verdict, failures + 1
    if failure is None:
        return Finding(problem, Cause.passed, runs=passes)
    detail = failure.error or failure.outcome.value
    cause = Cause.flaky if passes else _cause(failure.outcome, detail)
    return Finding(problem, cause, detail, passes + failures)


def _cause(outcome: Outcome, detail: str) -> Cause:
    if outcome is Outcome.runtime_error and _LIBRARY.match(detail):
        return Cause.missing_library
    return _CAUSES[outcome]


def verify(
    problems: Iterable[Problem],
    open_slot: Callable[[int], AbstractContextManager[Slot]],
    slots: int,
    runs: int,
) -> Generator[Finding, None, None]:
    """Examine problems on `slots` sandboxes at once; findings come in the order they are made.

    Closing the iterator ends all threads and sandboxes after the program each is running. Raises
    what reading a problem or opening a sandbox raises.
    """
    todo: queue.Queue[Problem] = queue.Queue(maxsize=2 * slots)
    done: queue.Queue[Finding | BaseException] = queue.Queue()
    stop = threading.Event()

    def work(number: int) -> None:
        try:
            with open_slot(number) as slot:
                while (problem := _next(todo, stop)) is not None:
                    done.put(examine(problem, slot, runs))
        except BaseException as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(slots)]
    for thread in threads:
        thread.start()
    waiting = 0
    try:
        for problem in problems:
            if waiting == 2 * slots:
                yield _found(done)
                waiting -= 1
            todo.put(problem)
            waiting += 1
        for _ in range(waiting):
            yield _found(done)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _next(todo: queue.Queue[Problem], stop: threading.Event) -> Problem | None:
    while not stop.is_set():
        try:
            return todo.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
    return None


def _found(done: queue.Queue[Finding | BaseException]) -> Finding:
    found = done.get()  # a sandbox answers by its own deadline, so that this ends
    if isinstance(found, BaseException):
        raise found
    return found
