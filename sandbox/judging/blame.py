"""The statements that carry the blame for an exception: the one that raised, and what led to it.

Source: the slice of a program at a statement (Weiser 1984) over the statements that were executed
(Agrawal and Horgan 1990). The verdict says which lines raised and which statements any test
executed, not in which order, or in which test: `blame` says what follows from that.
"""

from collections import defaultdict

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
    seeds: set[int] = set()
    for line in set(lines):
        raised_here = [index for index in facts.on_line(line) if executed[index]]
        if not raised_here:
            return None
        seeds.update(raised_here)
    blamed: defaultdict[int | None, set[int]] = defaultdict(set)
    for seed in sorted(seeds, reverse=True):
        by_later = blamed[facts[seed].function]
        if seed not in by_later:  # else all that led to it led to the later one, too
            by_later |= _led_to(seed, facts, executed)
    return tuple(any(index in part for part in blamed.values()) for index in range(len(executed)))


def _led_to(seed: int, facts: Dependence, executed: list[bool]) -> set[int]:
    """The statements that carry the blame if one raised."""
    function, loop = facts[seed].function, facts.loop_of(seed)

    def came_before(index: int) -> bool:
        """Whether it can have run before the one that raised did."""
        return facts[index].function != function or index <= seed or index in loop

    blamed: set[int] = set()
    followed: set[str | int] = set()
    found = [seed]
    while found:
        index = found.pop()
        if index not in blamed and executed[index] and came_before(index):
            blamed.add(index)
            found += facts.needed_by(index, followed)
    return blamed
