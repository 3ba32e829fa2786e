"""The language of the synthetic problems: clauses, specifications and their programs.

A specification is one comment line and says what a function does to each number of a list and then
to their total. It is a list of clauses, and every clause is one `if` or `while`:

    # each: flip negative; past 77 cap 4 | then: ring 6
    def f(a):
        t = 0
        for x in a:
            if x < 0:           <- flip negative
                x = -x
            if x > 77:          <- past 77: a rare guard around another clause
                if x > 4:       <- cap 4
                    x = 4
            t += x
        while t >= 6:           <- ring 6
            t -= 6
        return t

Every kind of clause also has *incorrect variants*, which misread the phrase. Syntax is never wrong.
How hard a kind is to learn is set by how often the corpus has it correct.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.problem import Tier
from curriculum.synthetic.clause_kinds import (
    EASY,
    HARD,
    HARD_COMPETITION,
    HARD_INTERVIEW,
    LEAVING,
    ClauseKind,
    Lines,
)

RARE_ABOVE = 77
"""The guard of rare clauses: inputs stay below it, so its suite is hardly ever executed."""


@dataclass(frozen=True)
class Clause:
    """A kind with its variable and numbers filled in."""

    kind: ClauseKind
    variable: str
    k: int
    m: int
    rare: bool
    """Whether the clause stands behind a guard that is hardly ever true (`RARE_ABOVE`)."""

    @property
    def phrase(self) -> str:
        """The clause as the specification says it."""
        phrase = self.kind.phrase.format(K=self.k, M=self.m)
        return f"past {RARE_ABOVE} {phrase}" if self.rare else phrase

    def correct(self) -> Lines:
        """The lines that do what the phrase says."""
        return self._guarded([self._filled(line) for line in self.kind.code])

    def incorrect(self, which: int) -> Lines:
        """The lines of one of the kind's incorrect variants."""
        return self._guarded([self._filled(line) for line in self.kind.incorrect[which]])

    def crashing(self) -> Lines:
        """The correct lines with a misspelt variable in the condition (a NameError)."""
        head, *suite = self.kind.code
        misspelt = head.format(v="y", K=self.k, M=self.m)
        return self._guarded([misspelt, *map(self._filled, suite)])

    def _filled(self, template: str) -> str:
        return template.format(v=self.variable, K=self.k, M=self.m)

    def _guarded(self, lines: list[str]) -> Lines:
        if not self.rare:
            return tuple(lines)
        return f"if {self.variable} > {RARE_ABOVE}:", *(f"    {line}" for line in lines)


@dataclass(frozen=True)
class Spec:
    """A whole specification: clauses on each number `x`, then clauses on the total `t`."""

    each: tuple[Clause, ...]
    then: tuple[Clause, ...]

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All clauses in the order of the program."""
        return self.each + self.then

    @property
    def question(self) -> str:
        """The specification as one comment line, without a newline."""
        each = "; ".join(clause.phrase for clause in self.each)
        then = "; ".join(clause.phrase for clause in self.then)
        return f"# each: {each}" + (f" | then: {then}" if then else "")

    def program(self, written: Sequence[Lines]) -> str:
        """The function `f` with the given lines for each clause, in the order of `clauses`."""
        if len(written) != len(self.clauses):
            raise ValueError(f"code for {len(written)} clauses, but there are {len(self.clauses)}")
        each, then = written[: len(self.each)], written[len(self.each) :]
        lines = ["def f(a):", "    t = 0", "    for x in a:"]
        lines += [f"        {line}" for clause in each for line in clause]
        lines += ["        t += x"]
        lines += [f"    {line}" for clause in then for line in clause]
        lines += ["    return t"]
        return "\n".join(lines)

    def solution(self) -> str:
        """The program in which every clause is correct."""
        return self.program([clause.correct() for clause in self.clauses])


@dataclass(frozen=True)
class TierShape:
    """What a tier's specifications are made of; each tuple lists equally likely numbers."""

    clauses: tuple[int, ...]
    hard: int
    hard_kinds: tuple[ClauseKind, ...]
    rare: tuple[int, ...]
    then: tuple[int, ...]
    """How many of the clauses, the last ones, are on the total."""


TIER_SHAPES: dict[Tier, TierShape] = {
    "introductory": TierShape((2,), hard=0, hard_kinds=(), rare=(0,), then=(0, 1)),
    "interview": TierShape((4,), hard=1, hard_kinds=HARD_INTERVIEW, rare=(0, 1), then=(1, 2)),
    "competition": TierShape((6, 7), hard=3, hard_kinds=HARD_COMPETITION, rare=(1, 2), then=(2, 3)),
}


def sample_spec(rng: random.Random, tier: Tier, largest: int = 9) -> Spec:
    """Draw a specification: which clauses are hard, rare or easy, then their kinds and numbers.

    No kind comes twice with one variable in one role. K and M differ and lie in 2 to `largest`; up
    to 9 every variant of every `while` clause ends.
    """
    shape = TIER_SHAPES[tier]
    count = rng.choice(shape.clauses)
    rare = rng.choice(shape.rare)
    on_total = rng.choice(shape.then)
    roles = ["hard"] * shape.hard + ["rare"] * rare
    roles += ["easy"] * (count - len(roles))
    rng.shuffle(roles)

    clauses: list[Clause] = []
    used: set[tuple[ClauseKind, str, str]] = set()
    for index, role in enumerate(roles):
        variable = "t" if index >= count - on_total else "x"
        kinds = {
            "hard": shape.hard_kinds,
            "rare": EASY + HARD,
            "easy": EASY + (LEAVING if variable == "x" else ()),
        }[role]
        kind = rng.choice([kind for kind in kinds if (kind, variable, role) not in used])
        used.add((kind, variable, role))
        k, m = rng.sample(range(2, largest + 1), 2)
        clauses.append(Clause(kind, variable, k, m, rare=role == "rare"))
    return Spec(each=tuple(clauses[: count - on_total]), then=tuple(clauses[count - on_total :]))
