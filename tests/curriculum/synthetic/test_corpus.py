"""The warm-start corpus: deterministic, always valid syntax, and as wrong as documented."""

import ast
import random
import sys
from collections import Counter
from itertools import islice

import pytest

from curriculum.synthetic.clause_kinds import EASY, HARD_INTERVIEW
from curriculum.synthetic.corpus import draw_variant, noisy_corpus
from curriculum.synthetic.language import Clause, sample_spec
from curriculum.synthetic.problems import choose_tests


def test_the_seed_and_the_size_decide_the_corpus():
    corpus = list(noisy_corpus(3, 200))
    assert len(corpus) == 200
    assert list(noisy_corpus(3, 200)) == corpus
    assert list(islice(noisy_corpus(3, 900), 200)) == corpus
    assert list(noisy_corpus(4, 200)) != corpus


def test_every_solution_parses_and_has_the_shape_of_canonical_ones():
    for question, solution in noisy_corpus(0, 500):
        assert question.startswith("# each: ")
        assert [type(node) for node in ast.parse(solution).body] == [ast.FunctionDef]
        assert solution.endswith("\n    return t")


def test_excluded_questions_are_left_out():
    everything = {question for question, _ in noisy_corpus(0, 3000)}
    heldout = {question for question in everything if "flip negative" in question}
    corpus = list(noisy_corpus(0, 3000, exclude=heldout))
    assert len(corpus) == 3000
    assert heldout
    assert not heldout & {question for question, _ in corpus}


def test_tiers_come_three_to_three_to_four():
    clause_counts = Counter(
        question.count(";") + question.count(" | then: ") + 1
        for question, _ in noisy_corpus(1, 6000)
    )
    assert set(clause_counts) == {2, 4, 6, 7}
    assert clause_counts[2] / 6000 == pytest.approx(0.3, abs=0.03)
    assert clause_counts[4] / 6000 == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "correct", "incorrect", "crashing"),
    [(EASY[0], 0.72, 0.18, 0.10), (HARD_INTERVIEW[0], 0.27, 0.60, 0.13)],
)
def test_variants_have_their_documented_shares(kind, correct, incorrect, crashing):
    rng = random.Random(0)
    clause = Clause(kind, "x", 3, 5, rare=False)
    names = {clause.correct(): "correct", clause.crashing(): "crashing"}
    counts = Counter(names.get(draw_variant(rng, clause), "incorrect") for _ in range(20_000))
    assert counts["correct"] / 20_000 == pytest.approx(correct, abs=0.015)
    assert counts["incorrect"] / 20_000 == pytest.approx(incorrect, abs=0.015)
    assert counts["crashing"] / 20_000 == pytest.approx(crashing, abs=0.015)


def executed_share(program, inputs):
    """Share of the lines below `def` that run on these inputs, and the outputs (crashes: None)."""
    seen: Counter[int] = Counter()
    namespace: dict = {}
    outputs = []

    def trace(frame, event, _):
        if frame.f_code.co_name == "f" and event == "line":
            seen[frame.f_lineno] += 1
            if seen[frame.f_lineno] > 5000:
                raise TimeoutError("a loop that does not end")
        return trace

    exec(program, namespace)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for numbers in inputs:
            try:
                outputs.append(namespace["f"](list(numbers)))
            except Exception:
                outputs.append(None)
    finally:
        sys.settrace(before)
    return len(seen) / (len(program.splitlines()) - 1), outputs


@pytest.mark.parametrize(
    ("tier", "at_most"), [("introductory", 0.9), ("interview", 0.85), ("competition", 0.7)]
)
def test_wrong_programs_of_the_corpus_leave_code_unexecuted(tier, at_most):
    """What the tests of a failing program do not run is what the execution mask (FGO) masks."""
    rng, shares = random.Random(9), []
    while len(shares) < 60:
        spec = sample_spec(rng, tier)
        tests = choose_tests(rng, spec)
        if tests is None:
            continue
        program = spec.program([draw_variant(rng, c) for c in spec.clauses])
        share, outputs = executed_share(program, [test.input[0] for test in tests])
        if outputs != [test.output for test in tests]:
            shares.append(share)
    assert sum(shares) / len(shares) < at_most
    assert sum(share < 1 for share in shares) / len(shares) > 0.3
