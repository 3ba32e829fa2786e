"""The bundled problems: correct, distinct, deterministic, and as hard as documented."""

import random
import re
from statistics import mean

import pytest

from curriculum.errors import CurriculumError
from curriculum.problem import TIERS, Problem
from curriculum.start_points import START_POINT_KINDS, start_points
from curriculum.synthetic import problems as synthetic
from curriculum.synthetic.clause_kinds import ClauseKind
from curriculum.synthetic.language import RARE_ABOVE, Clause, Spec, sample_spec
from curriculum.synthetic.problems import programs_with_one_error, run_on, synthetic_problems

ALL = frozenset(START_POINT_KINDS)
PER_TIER = 60


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return synthetic_problems(seed=11, per_tier=PER_TIER)


def call(problem: Problem) -> list:
    """What the canonical solution itself returns, without the generator's loop budget."""
    namespace: dict = {}
    exec(problem.solution, namespace)
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


def test_question_and_solution_have_the_shape_of_the_warm_start_corpus(problems):
    for problem in problems:
        assert problem.question.startswith("# each: ")
        assert "\n" not in problem.question
        assert problem.solution.startswith("def f(a):\n    t = 0\n    for x in a:\n")
        assert problem.solution.endswith("\n    return t")


def test_the_seed_decides_everything(problems):
    assert synthetic_problems(seed=11, per_tier=PER_TIER) == problems
    others = synthetic_problems(seed=12, per_tier=PER_TIER)
    shared = {p.question for p in others} & {p.question for p in problems}
    assert len(shared) < 0.1 * len(problems)


def test_fewer_problems_are_the_first_of_more(problems):
    for tier in TIERS:
        few = [p for p in synthetic_problems(seed=11, per_tier=5) if p.difficulty == tier]
        assert few == [p for p in problems if p.difficulty == tier][:5]


def test_excluded_questions_are_left_out(problems):
    excluded = {problem.question for problem in problems}
    again = synthetic_problems(seed=11, per_tier=20, exclude=excluded)
    assert not excluded & {problem.question for problem in again}


def test_larger_numbers_are_used_once_a_tier_has_no_small_ones_left(monkeypatch):
    """As if there were three specifications with small numbers in each tier."""

    def few(rng, tier, largest):
        return sample_spec(random.Random(rng.randrange(3)) if largest == 9 else rng, tier, largest)

    monkeypatch.setattr(synthetic, "sample_spec", few)
    monkeypatch.setattr(synthetic, "WIDENING", 20)
    problems = synthetic_problems(seed=1, per_tier=8)
    assert len({problem.question for problem in problems}) == 3 * 8
    for problem in problems:
        if problem.id.endswith("0007"):
            assert max(int(number) for number in re.findall(r"\d+", problem.question)) > 9
        assert call(problem) == [test.output for test in problem.tests]


def test_an_exhausted_tier_is_an_error(monkeypatch):
    monkeypatch.setattr(synthetic, "MAX_REJECTIONS", 50)
    monkeypatch.setattr(synthetic, "MIN_DISTINCT_OUTPUTS", 51)
    with pytest.raises(CurriculumError, match="no further introductory problem in 50 tries"):
        synthetic_problems(seed=0, per_tier=1)


@pytest.mark.parametrize(
    ("tier", "conditionals", "lines"),
    [("introductory", (3, 3), (9, 9)), ("interview", (5, 6), (13, 14.5)),
     ("competition", (9, 10.5), (20, 22))],
)  # fmt: skip
def test_tiers_are_as_long_as_documented(problems, tier, conditionals, lines):
    solutions = [p.solution for p in problems if p.difficulty == tier]
    points = mean(len(start_points(solution, ALL)) for solution in solutions)
    assert conditionals[0] <= points <= conditionals[1]
    assert lines[0] <= mean(len(solution.splitlines()) for solution in solutions) <= lines[1]


def test_every_incorrect_variant_of_one_clause_fails_the_tests(monkeypatch):
    """The few tests that were chosen tell each such program from the right one."""
    specs = {}
    choose = synthetic.choose_tests

    def remember(rng, spec):
        specs[spec.question] = spec
        return choose(rng, spec)

    monkeypatch.setattr(synthetic, "choose_tests", remember)
    programs = 0
    for problem in synthetic_problems(seed=5, per_tier=25):
        inputs = [test.input[0] for test in problem.tests]
        right = [test.output for test in problem.tests]
        for program in programs_with_one_error(specs[problem.question]):
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


def test_a_program_that_hangs_is_stopped_by_the_loop_budget():
    hanging = "def f(a):\n    t = 0\n    while t < a[0]:\n        t += a[1]\n    return t"
    assert run_on(hanging, [[3, 1], [1, 0], [4, 2]], budget=100) == [3, None, 4]


def test_a_specification_whose_solution_hangs_is_discarded(monkeypatch):
    kind = ClauseKind("drain", ("while {v} > {K}:", "    {v} -= 1"), ())
    spec = Spec(each=(Clause(kind, "x", 3, 2, rare=False),), then=())
    assert synthetic.choose_tests(random.Random(0), spec) is not None
    outputs = []

    def hurried(program, inputs):
        outputs.extend(run_on(program, inputs, budget=25))
        return outputs

    monkeypatch.setattr(synthetic, "run_on", hurried)
    assert synthetic.choose_tests(random.Random(0), spec) is None
    assert None in outputs
    assert len(set(outputs)) >= synthetic.MIN_DISTINCT_OUTPUTS


def test_an_incorrect_variant_that_hangs_is_caught():
    hanging = ("while {v} > {K}:", "    {v} += 0")
    kind = ClauseKind("cap {K}", ("if {v} > {K}:", "    {v} = {K}"), (hanging,))
    spec = Spec(each=(Clause(kind, "x", 8, 2, rare=False),), then=())
    tests = synthetic.choose_tests(random.Random(0), spec)
    assert tests is not None
    returned = run_on(spec.program([spec.clauses[0].incorrect(0)]), [t.input[0] for t in tests])
    assert None in returned


def test_rare_clauses_leave_code_unexecuted(problems):
    """The execution mask has work: most suites behind a rare guard never run in the tests."""
    guarded = executed = 0
    for problem in problems:
        lines = problem.solution.splitlines()
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
