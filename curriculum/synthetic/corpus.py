"""The corpus of the warm start: questions of the bundled language with noisy solutions.

Each clause of a solution is drawn on its own: correct, one of the kind's incorrect variants, or
crashing (a misspelt variable). A model trained on the corpus writes valid syntax, has seen the
correct variant of each phrase among incorrect ones, and fails more often the more hard clauses a
question has.
"""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from curriculum.problem import Tier
from curriculum.synthetic.clause_kinds import HARD, Lines
from curriculum.synthetic.language import Clause, sample_spec

TIER_WEIGHTS: dict[Tier, int] = {"introductory": 3, "interview": 3, "competition": 4}
"""Relative frequency of each tier in the corpus."""


@dataclass(frozen=True)
class VariantShares:
    """Probabilities that a clause is written correctly or incorrectly; otherwise it crashes."""

    correct: float
    incorrect: float


EASY_SHARES = VariantShares(correct=0.72, incorrect=0.18)
HARD_SHARES = VariantShares(correct=0.27, incorrect=0.60)


def noisy_corpus(
    seed: int, size: int, exclude: Collection[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Yield `size` pairs (question, solution); no question is in `exclude`.

    Every solution parses; most of them are wrong. A smaller `size` gives the first pairs of a
    larger one.
    """
    excluded = frozenset(exclude)
    rng = random.Random(f"corpus/{seed}")
    tiers, weights = tuple(TIER_WEIGHTS), tuple(TIER_WEIGHTS.values())
    written = 0
    while written < size:
        spec = sample_spec(rng, rng.choices(tiers, weights)[0])
        solution = spec.program([draw_variant(rng, clause) for clause in spec.clauses])
        if spec.question not in excluded:
            yield spec.question, solution
            written += 1


def draw_variant(rng: random.Random, clause: Clause) -> Lines:
    """Draw one clause's lines: correct, incorrect or crashing."""
    shares = HARD_SHARES if clause.kind in HARD else EASY_SHARES
    draw = rng.random()
    if draw < shares.correct:
        return clause.correct()
    if draw < shares.correct + shares.incorrect:
        return clause.incorrect(rng.randrange(len(clause.kind.incorrect)))
    return clause.crashing()
