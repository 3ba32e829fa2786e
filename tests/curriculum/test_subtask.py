"""Stages of Algorithm 1, worked by hand, and the effect of starter code."""

from itertools import pairwise

import pytest

from curriculum.start_points import START_POINT_KINDS, statement_points
from curriculum.subtask import (
    FULL_TASK,
    cut,
    cut_before,
    solution_points,
    stage_count,
    stage_offsets,
    start_index,
    starter_prefix,
)
from curriculum.synthetic.problems import synthetic_problems

ALL = frozenset(START_POINT_KINDS)

# E, stages = ceil(sqrt(E)), stride = ceil(E / stages), index of each stage from the easiest down
WORKED = [
    (1, 1, 1, [0]),
    (2, 2, 1, [1, 0]),
    (3, 2, 2, [2, 0]),
    (5, 3, 2, [4, 2, 0]),
    (9, 3, 3, [6, 3, 0]),
    (10, 4, 3, [9, 6, 3, 0]),
]


@pytest.mark.parametrize(("e", "stages", "stride", "indices"), WORKED)
def test_stages_of_worked_examples(make_problem, e, stages, stride, indices):
    assert stage_count(e) == stages
    computed = [start_index(e, stage) for stage in reversed(range(stages))]
    assert computed == indices
    assert {a - b for a, b in pairwise(computed)} <= {stride}
    problem = make_problem(points=e)
    for stage, index in zip(reversed(range(stages)), indices, strict=True):
        task = cut(problem, stage, ALL)
        assert task.remainder.startswith(f"\n    if x > {index}:\n")
        assert task.prefix.count("if ") == index


def test_a_problem_without_start_points_has_no_stages(make_problem):
    assert stage_count(0) == 0
    task = cut(make_problem(points=0), FULL_TASK, ALL)
    assert (task.stages, task.prefix) == (0, "")


def test_every_stage_of_every_count_has_its_own_start_point():
    for e in range(1, 3000):
        indices = [start_index(e, stage) for stage in range(stage_count(e))]
        assert indices[0] == 0
        assert indices == sorted(set(indices))
        assert indices[-1] < e
        assert (stage_count(e) - 1) ** 2 < e <= stage_count(e) ** 2


@pytest.mark.parametrize(("e", "stage"), [(5, 3), (5, -1), (0, 0)])
def test_a_stage_that_does_not_exist_is_refused(e, stage):
    with pytest.raises(ValueError, match=f"not {stage}"):
        start_index(e, stage)


def test_a_negative_number_of_start_points_is_refused():
    with pytest.raises(ValueError, match="-1 start points"):
        stage_count(-1)


def test_the_full_task_begins_with_starter_code_that_the_solution_begins_with(make_problem):
    problem = make_problem(points=2, starter_code="def f(x):\n    ")
    task = cut(problem, FULL_TASK, ALL)
    assert task.prefix == "def f(x):"
    assert task.prefix + task.remainder == problem.solution


@pytest.mark.parametrize("starter", ["def g(x):\n    ", "def", "def f(x):\n    if"])
def test_starter_code_that_the_solution_does_not_begin_with_is_no_prefix(make_problem, starter):
    solution = "define = 1\ndef f(x):\n    iffy = 2\n"
    assert starter_prefix(make_problem(solution=solution, starter_code=starter)) == ""


def test_start_points_inside_starter_code_do_not_count(make_problem):
    solution = "if True:\n    import math\ndef f(x):\n    if x:\n        x = 0\n    return x\n"
    problem = make_problem(solution=solution, starter_code="if True:\n    import math\ndef f(x):\n")
    task = cut(problem, 0, ALL)
    assert task.stages == 1
    assert task.remainder.startswith("\n    if x:")


def test_stage_offsets_are_the_ends_of_the_prefixes(make_problem):
    for e in (0, 1, 5, 10):
        problem = make_problem(points=e)
        offsets = stage_offsets(solution_points(problem, ALL))
        for stage in range(FULL_TASK, len(offsets)):
            assert cut_before(problem, stage, offsets) == cut(problem, stage, ALL)


def test_every_cut_before_a_statement_is_exact():
    for problem in synthetic_problems(seed=2, per_tier=5):
        offsets = statement_points(problem.solution)
        for stage in range(len(offsets)):
            task = cut_before(problem, stage, offsets)
            assert task.prefix + task.remainder == problem.solution
    with pytest.raises(ValueError, match=f"no stage {len(offsets)}"):
        cut_before(problem, len(offsets), offsets)
