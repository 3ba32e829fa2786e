"""The rules of mode `drawn`, worked by hand."""

from collections import Counter

import pytest

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import in_flight, stage_of

DRAWN = CurriculumConfig(mode="drawn")
SIX = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return x\n"  # 6 cuts


@pytest.fixture
def schedule(make_problem):
    return make_schedule([make_problem(solution=SIX)], DRAWN, seed=0)


def lowest_of(schedule):
    return schedule.state_dict()["lowest"]["p0"]


def ask_at(schedule, stage, passed):
    """Sample until the one problem is asked at a stage, and report that visit alone."""
    for _ in range(1000):
        [task] = schedule.sample(1)
        if task.stage == stage:
            schedule.observe(task, passed, 8, weight_version=0)
            return lowest_of(schedule), stage_of(schedule)
        schedule.observe(task, 0, 0, weight_version=0)
    raise AssertionError(f"never asked at stage {stage}")


def test_success_lowers_the_upper_end_and_failure_raises_the_lower_one(schedule):
    assert ask_at(schedule, 4, 0) == (5, 5)  # the only stage that is left
    assert ask_at(schedule, 5, 5) == (FULL_TASK, 5)  # 5/8 is a success
    assert ask_at(schedule, 3, 8) == (FULL_TASK, 3)
    assert ask_at(schedule, 0, 4) == (1, 3)  # 4/8 is not
    assert ask_at(schedule, 1, 0) == (2, 3)
    assert ask_at(schedule, 2, 8) == (FULL_TASK, 2)
    assert ask_at(schedule, FULL_TASK, 0) == (0, 2)
    assert ask_at(schedule, 0, 8) == (FULL_TASK, 0)
    assert ask_at(schedule, FULL_TASK, 8) == (FULL_TASK, FULL_TASK)
    assert ask_at(schedule, FULL_TASK, 0) == (FULL_TASK, FULL_TASK)  # never given again


def test_a_failure_at_the_upper_end_leaves_that_stage_alone(schedule):
    assert ask_at(schedule, 5, 0) == (5, 5)
    assert {task.stage for task in schedule.sample(50)} == {5}


def test_every_stage_of_the_interval_is_drawn_evenly(schedule):
    counts = Counter(task.stage for task in schedule.sample(7000))
    assert set(counts) == set(range(FULL_TASK, 6))
    assert min(counts.values()) > 850
    assert max(counts.values()) < 1150


def test_a_visit_from_before_a_change_of_the_interval_is_stale(schedule):
    first, second = schedule.sample(2)
    schedule.observe(first, 8, 8, weight_version=0)
    before = lowest_of(schedule), stage_of(schedule)
    schedule.observe(second, 0, 8, weight_version=0)
    assert (lowest_of(schedule), stage_of(schedule)) == before
    assert schedule.metrics()["stale_observations"] == 1
    assert in_flight(schedule) == []


def test_the_draws_depend_on_the_seed_alone(make_problem):
    def stages(seed):
        schedule = make_schedule([make_problem(solution=SIX)], DRAWN, seed)
        return [task.stage for task in schedule.sample(30)]

    assert stages(1) == stages(1)
    assert stages(1) != stages(2)


def test_a_problem_without_cuts_is_asked_whole(make_problem):
    schedule = make_schedule([make_problem(solution="f = abs")], DRAWN, seed=0)
    for _ in range(3):
        [task] = schedule.sample(1)
        assert task.stage == FULL_TASK
        schedule.observe(task, 0, 8, weight_version=0)
