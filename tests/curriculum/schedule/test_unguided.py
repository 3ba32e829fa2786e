"""The rules of mode `unguided`, worked by hand."""

from collections import Counter

import pytest

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK

UNGUIDED = CurriculumConfig(mode="unguided")
SIX = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return x\n"  # 6 cuts


@pytest.fixture
def schedule(make_problem):
    return make_schedule([make_problem(solution=SIX)], UNGUIDED, seed=0)


def play(schedule, *passed):
    """Report one visit after the other; returns the stage that each was asked at."""
    stages = []
    for count in passed:
        [task] = schedule.sample(1)
        stages.append(task.stage)
        schedule.observe(task, count, 8, weight_version=0)
    return stages


def test_a_prefix_comes_only_after_every_program_failed(schedule):
    assert play(schedule, 8, 1, 0) == [FULL_TASK] * 3
    assert play(schedule, 1, 8) == [2, FULL_TASK]  # 3 of 6 statements, then whole again
    assert schedule.metrics()["guided_visits"] == 1


def test_the_prefix_grows_until_some_pass_and_is_halved_once_most_do(schedule):
    assert play(schedule, 0, 0, 0, 4) == [FULL_TASK, 2, 4, 5]  # 3, 5 and 6 statements
    assert play(schedule, 0, 8) == [FULL_TASK, 5]  # 4/8 was no reason for a shorter one
    assert play(schedule, 0, 8) == [FULL_TASK, 2]
    assert play(schedule, 0, 8) == [FULL_TASK, 0]
    assert play(schedule, 0, 8) == [FULL_TASK, 0]  # a guided visit has a prefix


def test_a_problem_that_fails_with_all_but_its_last_statement_is_asked_whole_again(schedule):
    assert play(schedule, 0, 0, 0, 0, 0, 0) == [FULL_TASK, 2, 4, 5, FULL_TASK, 5]


def test_further_visits_come_first_in_the_order_of_the_visits_that_failed(make_problem):
    problems = [make_problem(i, points=3) for i in range(4)]
    schedule = make_schedule(problems, UNGUIDED, seed=0)
    tasks = schedule.sample(4)
    for task in reversed(tasks):
        schedule.observe(task, 0 if task.visit != 2 else 3, 8, weight_version=0)
    further = schedule.sample(5)
    failed = [task.problem.id for task in tasks if task.visit != 2]
    assert [task.problem.id for task in further[:3]] == failed
    assert all(task.stage >= 0 for task in further[:3])
    assert [task.stage for task in further[3:]] == [FULL_TASK] * 2


def test_a_whole_task_that_passes_cancels_what_is_due(schedule):
    first, second = schedule.sample(2)
    schedule.observe(first, 0, 8, weight_version=0)
    schedule.observe(second, 2, 8, weight_version=0)
    assert play(schedule, 8) == [FULL_TASK]


def test_every_problem_is_asked_as_often_as_any_whatever_fails(make_problem):
    """A policy that never passes: chains of further visits end, and no problem is left behind."""
    problems = [make_problem(i, points=p) for i, p in enumerate((0, 3, 9, 30))]
    schedule = make_schedule(problems, UNGUIDED, seed=0)
    whole = Counter()
    for _ in range(400):
        [task] = schedule.sample(1)
        whole[task.problem.id] += task.stage == FULL_TASK
        schedule.observe(task, 0, 8, weight_version=0)
    assert max(whole.values()) - min(whole.values()) <= 1
    assert sum(whole.values()) > 150
