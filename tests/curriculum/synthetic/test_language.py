"""Clauses and specifications of the synthetic language."""

from hypothesis import given
from hypothesis import strategies as st

from curriculum.problem import TIERS
from curriculum.synthetic.clause_kinds import (
    EASY,
    HARD,
    HARD_COMPETITION,
    HARD_INTERVIEW,
    LEAVING,
)
from curriculum.synthetic.language import Clause, sample_spec
from curriculum.synthetic.problems import run_on


@given(st.randoms(use_true_random=False), st.sampled_from(TIERS))
def test_a_tier_has_its_number_of_easy_hard_and_rare_clauses(rng, tier):
    spec = sample_spec(rng, tier)
    count, on_total, hards, rares = {
        "introductory": ((2,), (0, 1), 0, (0,)),
        "interview": ((4,), (1, 2), 1, (0, 1)),
        "competition": ((6, 7), (2, 3), 3, (1, 2)),
    }[tier]
    assert len(spec.clauses) in count
    assert len(spec.then) in on_total
    rare = [clause for clause in spec.clauses if clause.rare]
    hard = [clause for clause in spec.clauses if clause.kind in HARD and not clause.rare]
    assert len(rare) in rares
    assert len(hard) == hards
    own = {"introductory": (), "interview": HARD_INTERVIEW, "competition": HARD_COMPETITION}
    assert all(clause.kind in own[tier] for clause in hard)
    assert all(clause.variable == "x" for clause in spec.each)
    assert all(clause.variable == "t" and clause.kind not in LEAVING for clause in spec.then)
    assert all(
        clause.k != clause.m and {clause.k, clause.m} <= set(range(2, 10))
        for clause in spec.clauses
    )


EVERY_LOOP = [
    lines
    for kind in (*EASY, *HARD)
    for lines in (kind.code, *kind.incorrect)
    if lines[0].startswith("while")
]


def test_no_variant_of_a_clause_loops_for_ever():
    """Exhaustively over K, M and starting values far beyond those that inputs can lead to."""
    assert len(EVERY_LOOP) == 3 + 4  # three kinds, and the incorrect variants that are loops
    for head, suite in EVERY_LOOP:
        for k in range(2, 10):
            for m in range(2, 10):
                program = "def f(a):\n    v = a[0]\n    {}\n    {}\n    return v".format(
                    head.format(v="v", K=k, M=m), suite.format(v="v", K=k, M=m)
                )
                starts = [[v] for v in (*range(-40, 41), -9999, 9999)]
                assert None not in run_on(program, starts)


def test_a_clause_is_written_correct_incorrect_and_crashing():
    clause = Clause(HARD_COMPETITION[2], "t", 7, 3, rare=True)
    assert clause.phrase == "past 77 swing 7 3"
    assert clause.correct() == (
        "if t > 77:", "    if t > 7:", "        t -= 3", "    elif t < 3:", "        t += 7",
    )  # fmt: skip
    assert clause.incorrect(0)[1] == "    if t > 3:"
    assert clause.crashing()[:3] == ("if t > 77:", "    if y > 7:", "        t -= 3")


def test_incorrect_variants_differ_and_every_first_line_names_the_variable_once():
    for kind in (*EASY, *LEAVING, *HARD):
        assert kind.code[0].count("{v}") == 1
        assert kind.code not in kind.incorrect
        assert len(set(kind.incorrect)) == len(kind.incorrect) >= 1
