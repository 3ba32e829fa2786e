"""The bundled problems: right, distinct, deterministic, and as hard as they are said to be."""

import random
import re
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.problem import TIERS, Problem
from curriculum.start_points import START_POINT_KINDS, start_points
from curriculum.synthetic import language as clauses
from curriculum.synthetic import problems as synthetic
from curriculum.synthetic.language import (
    HARD,
    HARD_COMPETITION,
    HARD_INTERVIEW,
    LEAVING,
    RARE_ABOVE,
    sample_spec,
)
from curriculum.synthetic.problems import run_on, single_mistakes, synthetic_problems

ALL = frozenset(START_POINT_KINDS)
PER_TIER = 60


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return synthetic_problems(seed=11, per_tier=PER_TIER)


def call(problem: Problem) -> list:
    """What the canonical solution itself returns, without the generator's loop budget."""
    namespace: dict = {}
    exec(problem.canonical_solution, namespace)
    return [namespace["f"](*test.input) for test in problem.tests]


def test_every_solution_passes_its_five_to_ten_tests(problems):
    for problem in problems:
        assert 5 <= len(problem.tests) <= 10
        assert call(problem) == [test.output for test in problem.tests]
        assert all(type(test.output) is int for test in problem.tests)
        assert len({str(test.input) for test in problem.tests}) == len(problem.tests)
        assert all(len(test.input) == 1 and 2 <= len(test.input[0]) <= 6 for test in problem.tests)


def test_problems_have_distinct_questions_and_ids_in_tier_order(problems):
    assert len({problem.question for problem in problems}) == 3 * PER_TIER
    assert [problem.difficulty for problem in problems] == [
        tier for tier in TIERS for _ in range(PER_TIER)
    ]
    assert problems[2 * PER_TIER + 7].id == "synthetic-competition-0007"
    assert len({problem.id for problem in problems}) == 3 * PER_TIER


def test_question_and_solution_have_the_shape_the_tiny_model_is_trained_on(problems):
    for problem in problems:
        assert problem.question.startswith("# each: ")
        assert "\n" not in problem.question
        assert problem.canonical_solution.startswith("def f(a):\n    t = 0\n    for x in a:\n")
        assert problem.canonical_solution.endswith("\n    return t")


def test_the_seed_decides_everything(problems):
    assert synthetic_problems(seed=11, per_tier=PER_TIER) == problems
    others = synthetic_problems(seed=12, per_tier=PER_TIER)
    shared = {p.question for p in others} & {p.question for p in problems}
    assert len(shared) < 0.1 * len(problems)


def test_fewer_problems_are_the_first_of_more(problems):
    for tier in TIERS:
        few = [p for p in synthetic_problems(seed=11, per_tier=5) if p.difficulty == tier]
        assert few == [p for p in problems if p.difficulty == tier][:5]


def test_excluded_questions_do_not_come(problems):
    excluded = {problem.question for problem in problems}
    again = synthetic_problems(seed=11, per_tier=20, exclude=excluded)
    assert not excluded & {problem.question for problem in again}


def test_a_tier_whose_small_numbers_are_used_up_goes_on_with_larger_ones(monkeypatch):
    """As if there were three specifications with small numbers in each tier."""

    def few(rng, tier, largest):
        return sample_spec(random.Random(rng.randrange(3)) if largest == 9 else rng, tier, largest)

    monkeypatch.setattr(synthetic, "sample_spec", few)
    problems = synthetic_problems(seed=1, per_tier=8)
    assert len({problem.question for problem in problems}) == 3 * 8
    for problem in problems:
        if problem.id.endswith("0007"):
            assert max(int(number) for number in re.findall(r"\d+", problem.question)) > 9
        assert call(problem) == [test.output for test in problem.tests]


def test_an_exhausted_tier_is_an_error_and_no_endless_search(monkeypatch):
    monkeypatch.setattr(synthetic, "MAX_REJECTIONS", 50)
    monkeypatch.setattr(synthetic, "MIN_DISTINCT_OUTPUTS", 51)
    with pytest.raises(ValueError, match="no further introductory problem in 50 tries"):
        synthetic_problems(seed=0, per_tier=1)


@pytest.mark.parametrize(
    ("tier", "conditionals", "lines"),
    [("introductory", (3, 3), (9, 9)), ("interview", (5, 6), (13, 14.5)),
     ("competition", (9, 10.5), (20, 22))],
)  # fmt: skip
def test_tiers_are_as_long_as_documented(problems, tier, conditionals, lines):
    solutions = [p.canonical_solution for p in problems if p.difficulty == tier]
    points = mean(len(start_points(solution, ALL)) for solution in solutions)
    assert conditionals[0] <= points <= conditionals[1]
    assert lines[0] <= mean(len(solution.splitlines()) for solution in solutions) <= lines[1]


@given(st.randoms(use_true_random=False), st.sampled_from(TIERS))
def test_a_tier_has_its_number_of_easy_hard_and_rare_clauses(rng, tier):
    spec = clauses.sample_spec(rng, tier)
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


def test_tests_catch_every_mistake_in_one_clause(monkeypatch):
    """The few tests that were chosen tell each such program from the right one."""
    specs = {}
    choose = synthetic._tests

    def remember(rng, spec):
        specs[spec.question] = spec
        return choose(rng, spec)

    monkeypatch.setattr(synthetic, "_tests", remember)
    programs = 0
    for problem in synthetic_problems(seed=5, per_tier=25):
        inputs = [test.input[0] for test in problem.tests]
        right = [test.output for test in problem.tests]
        for program in single_mistakes(specs[problem.question]):
            assert run_on(program, inputs) != right
            programs += 1
        for index, clause in enumerate(specs[problem.question].clauses):
            if not clause.rare:
                written = [c.correct() for c in specs[problem.question].clauses]
                written[index] = clause.crashing()
                with pytest.raises(NameError, match="'y'"):
                    run_on(specs[problem.question].program(written), inputs)
    assert programs > 75 * 2


def test_greedy_cover_takes_the_input_that_catches_most_first():
    catching = [{0, 3}, {1, 3}, {3, 4}, {2}]
    assert synthetic._greedy_cover(catching, 5) == [3, 2]


EVERY_LOOP = [
    lines
    for kind in (*clauses.EASY, *HARD)
    for lines in (kind.code, *kind.mistakes)
    if lines[0].startswith("while")
]


def test_no_way_to_write_a_clause_loops_for_ever():
    """Exhaustively over K, M and starting values far beyond those that inputs can lead to."""
    assert len(EVERY_LOOP) == 3 + 4  # three kinds, and the mistakes that are loops too
    for head, suite in EVERY_LOOP:
        for k in range(2, 10):
            for m in range(2, 10):
                program = "def f(a):\n    v = a[0]\n    {}\n    {}\n    return v".format(
                    head.format(v="v", K=k, M=m), suite.format(v="v", K=k, M=m)
                )
                starts = [[v] for v in (*range(-40, 41), -9999, 9999)]
                assert None not in run_on(program, starts)


def test_a_program_that_hangs_is_stopped_by_the_budget():
    hanging = "def f(a):\n    t = 0\n    while t < a[0]:\n        t += a[1]\n    return t"
    assert run_on(hanging, [[3, 1], [1, 0], [4, 2]], budget=100) == [3, None, 4]


def test_a_specification_whose_solution_hangs_is_thrown_away(monkeypatch):
    kind = clauses.ClauseKind("drain", ("while {v} > {K}:", "    {v} -= 1"), ())
    spec = clauses.Spec(each=(clauses.Clause(kind, "x", 3, 2, rare=False),), then=())
    assert synthetic._tests(random.Random(0), spec) is not None
    outputs = []

    def hurried(program, inputs):
        outputs.extend(run_on(program, inputs, budget=25))
        return outputs

    monkeypatch.setattr(synthetic, "run_on", hurried)
    assert synthetic._tests(random.Random(0), spec) is None
    assert None in outputs
    assert len(set(outputs)) >= synthetic.MIN_DISTINCT_OUTPUTS


def test_a_mistake_that_hangs_is_caught_and_hangs_nobody():
    hanging = ("while {v} > {K}:", "    {v} += 0")
    kind = clauses.ClauseKind("cap {K}", ("if {v} > {K}:", "    {v} = {K}"), (hanging,))
    spec = clauses.Spec(each=(clauses.Clause(kind, "x", 8, 2, rare=False),), then=())
    tests = synthetic._tests(random.Random(0), spec)
    assert tests is not None
    returned = run_on(spec.program([spec.clauses[0].mistaken(0)]), [t.input[0] for t in tests])
    assert None in returned


def test_a_clause_written_in_each_way():
    clause = clauses.Clause(HARD_COMPETITION[2], "t", 7, 3, rare=True)
    assert clause.phrase == "past 77 swing 7 3"
    assert clause.correct() == (
        "if t > 77:", "    if t > 7:", "        t -= 3", "    elif t < 3:", "        t += 7",
    )  # fmt: skip
    assert clause.mistaken(0)[1] == "    if t > 3:"
    assert clause.crashing()[:3] == ("if t > 77:", "    if y > 7:", "        t -= 3")


def test_every_mistake_differs_and_every_head_names_the_variable_once():
    for kind in (*clauses.EASY, *LEAVING, *HARD):
        assert kind.code[0].count("{v}") == 1
        assert kind.code not in kind.mistakes
        assert len(set(kind.mistakes)) == len(kind.mistakes) >= 1


def test_rare_clauses_leave_code_unexecuted(problems):
    """The execution mask has work: most suites behind a rare guard never run in the tests."""
    guarded = executed = 0
    for problem in problems:
        lines = problem.canonical_solution.splitlines()
        guards = [i for i, line in enumerate(lines) if f"> {RARE_ABOVE}:" in line]
        for guard in guards:
            indent = len(lines[guard]) - len(lines[guard].lstrip())
            watched = [*lines[: guard + 1], " " * (indent + 4) + "seen()", *lines[guard + 1 :]]
            seen = []
            namespace = {"seen": lambda seen=seen: seen.append(1)}
            exec("\n".join(watched), namespace)
            for test in problem.tests:
                namespace["f"](*test.input)
            guarded, executed = guarded + 1, executed + bool(seen)
    assert guarded > PER_TIER
    assert executed / guarded < 0.25
