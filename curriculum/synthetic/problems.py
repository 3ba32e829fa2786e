"""The bundled problems: a family that a tiny model learns in minutes, in three tiers.

Each problem asks for one function over a list of integers, described by one comment line in the
language of `curriculum.synthetic.language`:

    # each: past 77 evens plus 4; flip negative | then: fold 6

| tier         | clauses | conditionals and loops | lines | hard clauses               |
|--------------|---------|------------------------|-------|----------------------------|
| introductory | 2       | 3                      | 9     | none                       |
| interview    | 4       | about 5.5              | 13.5  | 1                          |
| competition  | 6 or 7  | about 9.5              | 21    | 3, of kinds of this tier   |

The tests of a problem are five to ten inputs, chosen so that every incorrect variant of any one
clause fails at least one of them; a specification for which no such inputs are found is discarded.
Rare guards, `break` and crashes leave parts of wrong programs unexecuted, so that the execution
mask has an effect.

The seed decides everything. `curriculum.synthetic.corpus` makes the warm-start corpus of the same
language.
"""

import random
import re
from collections.abc import Collection, Iterator
from typing import Any

from curriculum.errors import CurriculumError
from curriculum.problem import TIERS, Problem, Test, Tier
from curriculum.synthetic.language import Spec, sample_spec

_WHILE = re.compile(r"^( *)while .*:$", re.MULTILINE)
"""The line of a loop; the language has no other form."""
CANDIDATE_INPUTS = 50
"""Inputs among which a problem's tests are chosen."""
MIN_DISTINCT_OUTPUTS = 8
"""A problem whose candidate inputs give fewer outputs is too easy to guess."""
MIN_TESTS, MAX_TESTS = 5, 10
LOOP_BUDGET = 10_000
"""Iterations of all `while` loops in one call, above which a program counts as hanging."""
WIDENING = 500
"""Specifications in a row without a new problem, after which numbers may be twice as large: with
small ones alone the introductory tier would be used up after some ten thousand problems."""
MAX_REJECTIONS = 20_000
"""Specifications in a row without a new problem, after which nothing is left to try."""


def synthetic_problems(
    seed: int,
    per_tier: int,
    exclude: Collection[str] = frozenset(),
    name: str = "synthetic",
) -> list[Problem]:
    """Make `per_tier` problems of each tier, tier by tier, with distinct questions.

    A smaller `per_tier` gives the first problems of a larger one.

    Args:
        seed: decides every problem.
        per_tier: number of problems in each tier.
        exclude: questions that must not come.
        name: the beginning of the ids, as in `synthetic-competition-0007`.

    Raises:
        CurriculumError: a tier has no further problem.
    """
    taken = set(exclude)
    problems: list[Problem] = []
    for tier in TIERS:
        rng = random.Random(f"problems/{seed}/{tier}")
        for number in range(per_tier):
            problem = _new_problem(rng, tier, taken, f"{name}-{tier}-{number:04d}")
            taken.add(problem.question)
            problems.append(problem)
    return problems


def _new_problem(rng: random.Random, tier: Tier, taken: set[str], problem_id: str) -> Problem:
    for tries in range(MAX_REJECTIONS):
        spec = sample_spec(rng, tier, largest=9 * 2 ** (tries // WIDENING))
        if spec.question in taken:
            continue
        tests = choose_tests(rng, spec)
        if tests is not None:
            return Problem(
                id=problem_id,
                question=spec.question,
                solution=spec.solution(),
                fn_name="f",
                tests=tests,
                difficulty=tier,
                source="synthetic",
            )
    raise CurriculumError(f"no further {tier} problem in {MAX_REJECTIONS} tries; ask for fewer")


def choose_tests(rng: random.Random, spec: Spec) -> tuple[Test, ...] | None:
    """Choose tests that every incorrect variant of one clause fails; None where none do.

    Clauses behind a rare guard are left out: hardly any input reaches them.
    """
    inputs = [
        [rng.randint(-6, 14) for _ in range(rng.randint(2, 6))] for _ in range(CANDIDATE_INPUTS)
    ]
    expected = run_on(spec.solution(), inputs)
    if None in expected or len(set(expected)) < MIN_DISTINCT_OUTPUTS:
        return None
    catching: list[set[int]] = []
    for program in programs_with_one_error(spec):
        returned = run_on(program, inputs)
        catching.append({i for i in range(len(inputs)) if returned[i] != expected[i]})
        if not catching[-1]:
            return None
    chosen = _greedy_cover(catching, len(inputs))
    if len(chosen) > MAX_TESTS:
        return None
    while len(chosen) < MIN_TESTS:
        index = rng.randrange(len(inputs))
        if inputs[index] not in [inputs[i] for i in chosen]:
            chosen.append(index)
    return tuple(Test(input=[inputs[i]], output=expected[i]) for i in chosen)


def programs_with_one_error(spec: Spec) -> Iterator[str]:
    """Yield the programs in which one clause, not a rare one, is incorrect and all else correct."""
    correct = [clause.correct() for clause in spec.clauses]
    for index, clause in enumerate(spec.clauses):
        if clause.rare:
            continue
        for which in range(len(clause.kind.incorrect)):
            yield spec.program([*correct[:index], clause.incorrect(which), *correct[index + 1 :]])


def _greedy_cover(catching: list[set[int]], inputs: int) -> list[int]:
    """Pick inputs one by one, each time the one that catches most programs not caught yet.

    `catching` holds, for each program, the indices of the inputs that catch it.
    """
    chosen: list[int] = []
    uncaught = catching
    while uncaught:
        best = max(range(inputs), key=lambda i: sum(i in caught_by for caught_by in uncaught))
        chosen.append(best)
        uncaught = [caught_by for caught_by in uncaught if best not in caught_by]
    return chosen


class _LoopBudgetSpent(Exception):
    """The `while` loops of a program took more iterations than allowed."""


def run_on(program: str, inputs: list[list[int]], budget: int = LOOP_BUDGET) -> list[int | None]:
    """Call a generated program's `f` on each input; None where its `while` loops do not end.

    Only for programs of this generator, as they run in this process. Their `for` loops go over the
    input and end by themselves.
    """
    spent = 0

    def spend() -> None:
        nonlocal spent
        spent += 1
        if spent > budget:
            raise _LoopBudgetSpent

    counted = _WHILE.sub(r"\g<0>\n\1    spend()", program)
    namespace: dict[str, Any] = {"spend": spend}
    exec(counted, namespace)
    returned: list[int | None] = []
    for numbers in inputs:
        spent = 0
        try:
            returned.append(namespace["f"](list(numbers)))
        except _LoopBudgetSpent:
            returned.append(None)
    return returned
