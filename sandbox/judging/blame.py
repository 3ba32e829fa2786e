"""The statements that carry the blame for an exception: the one that raised, and what led to it.

Source: the slice of a program at a statement (Weiser 1984) over the statements that were executed
(Agrawal and Horgan 1990). The verdict says which lines raised and which statements any test
executed, not in which order, or in which test: `blame` says what follows from that.
"""

from collections.abc import Iterator
from itertools import chain

from sandbox.judging.dependence import Dependence, dependence
from sandbox.verdict import TestOutcome, Verdict


def blame(source: str, verdict: Verdict) -> tuple[bool, ...] | None:
    """Whether each of `verdict.statements` carries the blame for what the tests raised.

    A statement does if it was executed and is one of:

    - *raised*: a statement on the line at which a test raised (the program's innermost);
    - *around*: the header of a compound statement or definition that a blamed one stands in, or the
      `else:`, `finally:`, `except ...:` or `case ...:` above it;
    - *names*: it binds or changes a name that a blamed one reads (`dependence` has the rules);
    - *values*: a `return` or `yield` of a function whose name a blamed one reads;
    - *calls*: it reads the name of the function that a blamed one stands in.

    Behind the statement that raised, in its own function or outside of all, only the loops around
    it can have led to it: the rest there, executed by other tests or calls, carries no blame. Names
    are those of the whole program, so that more is blamed where two variables share a name.

    Args:
        source: the program that was run.
        verdict: on it.

    Returns:
        One flag per statement; None where the statements that raised are not known: no test raised,
        an exception has no line (no function of the name, a killed process), coverage proves
        nothing, or this Python does not parse the program.
    """
    raised = [test for test in verdict.tests if test.outcome is TestOutcome.runtime_error]
    lines = [test.line for test in raised if test.line is not None]
    unknown = len(lines) < len(raised) or not raised
    if unknown or not verdict.statements or verdict.coverage_tampered:
        return None
    facts = dependence(source, verdict.statements)
    if facts is None:
        return None
    executed = [statement.executed for statement in verdict.statements]
    blamed: set[int] = set()
    for line in set(lines):
        seeds = [index for index in facts.on_line(line) if executed[index]]
        if not seeds:
            return None
        for seed in seeds:
            blamed |= _led_to(seed, facts, executed)
    return tuple(index in blamed for index in range(len(executed)))


def _led_to(seed: int, facts: Dependence, executed: list[bool]) -> set[int]:
    """The statements that carry the blame if one raised."""
    allowed = {index for index in _before(seed, facts) if executed[index]}
    blamed: set[int] = set()
    found = {seed}
    while found:
        blamed |= found
        needed = chain.from_iterable(facts.needed_by(index) for index in found)
        found = {index for index in needed if index in allowed} - blamed
    return blamed


def _before(seed: int, facts: Dependence) -> Iterator[int]:
    """The statements that can have run before one did."""
    function = facts[seed].function
    for index, other in enumerate(facts):
        if other.function != function or index <= seed or index in facts.loop_of(seed):
            yield index
