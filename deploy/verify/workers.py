"""Examining many problems on several sandboxes at once, one thread per sandbox."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, suppress

from curriculum.problem import Problem
from deploy.verify.finding import Finding, Slot, examine

PROBLEMS_PER_SLOT = 2
"""Problems handed out and not yet returned, per sandbox: a worker never waits for the reader."""


def examine_all(
    problems: Iterable[Problem],
    open_slot: Callable[[int], AbstractContextManager[Slot]],
    slots: int,
    runs: int,
) -> Generator[Finding, None, None]:
    """Examine problems on `slots` sandboxes; findings come in the order in which they are made.

    Closing the generator ends all threads and sandboxes once the job that each runs has ended.
    Raises what reading a problem or opening a sandbox raises.

    Args:
        problems: read as sandboxes become free.
        open_slot: opens the sandbox of a number.
        slots: sandboxes at a time.
        runs: of each solution.
    """
    todo: queue.Queue[Problem | None] = queue.Queue()
    done: queue.Queue[Finding | BaseException] = queue.Queue()

    def work(number: int) -> None:
        try:
            with open_slot(number) as slot:
                while (problem := todo.get()) is not None:
                    done.put(examine(problem, slot, runs))
        except BaseException as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(slots)]
    for thread in threads:
        thread.start()
    outstanding = 0
    try:
        for problem in problems:
            # `todo` has no bound of its own: this is what keeps a large file out of memory.
            if outstanding == PROBLEMS_PER_SLOT * slots:
                yield _next_finding(done)
                outstanding -= 1
            todo.put(problem)
            outstanding += 1
        for _ in range(outstanding):
            yield _next_finding(done)
    finally:
        with suppress(queue.Empty):  # what no worker has taken yet is not examined
            while True:
                todo.get_nowait()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join()


def _next_finding(done: queue.Queue[Finding | BaseException]) -> Finding:
    result = done.get()  # ends: a sandbox gives a verdict by its own deadline
    if isinstance(result, BaseException):
        raise result
    return result
