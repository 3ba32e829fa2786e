"""Algorithm 1 worked by hand, and once more as a rule over random reports."""

import pytest
from hypothesis import given

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import (
    START_POINTS,
    STEPS,
    average_of,
    in_flight,
    new_schedule,
    play,
    progress_of,
    stage_of,
    visit,
)

CCCS = CurriculumConfig()

# Passed of 8 attempts at each visit -> stage after it. alpha 0.7, threshold 0.5:
#   8/8 from 0: 0.7, moves on.                    6/8 from 0: 0.525, moves on.
#   5/8 from 0: 0.4375, stays; 5/8 again: 0.56875, moves on (and the average restarts).
#   4/8 from 0: 0.35, stays; 6/8 then: 0.63, moves on.
#   4/8 for ever: 0.35, 0.455, 0.4865, ... < 0.5, stays.
#   8/8 on the full task: nothing is left to move to.
WORKED = [
    (1, 0, [(0, 0), (8, -1), (8, -1), (0, -1)]),
    (2, 1, [(5, 1), (5, 0), (5, 0), (5, -1), (8, -1)]),
    (5, 2, [(0, 2), (5, 2), (5, 1), (4, 1), (6, 0), (8, -1), (8, -1)]),
    (9, 2, [(8, 1), (4, 1), (4, 1), (4, 1), (4, 1), (6, 0), (6, -1)]),
    (10, 3, [(6, 2), (5, 2), (0, 2), (5, 2), (5, 1), (8, 0), (7, -1), (8, -1)]),
]


@pytest.mark.parametrize(("e", "first", "visits"), WORKED)
def test_stages_of_worked_pass_sequences(make_problem, e, first, visits):
    schedule = make_schedule([make_problem(points=e)], CCCS, seed=0)
    assert stage_of(schedule) == first
    for passed, after in visits:
        assert visit(schedule, passed) == after
        assert schedule.sample(1)[0].stage == after


def test_the_moving_average_by_hand(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    for expected in (0.35, 0.455, 0.4865):
        visit(schedule, 4)
        assert average_of(schedule) == pytest.approx(expected)
    visit(schedule, 8)
    assert (stage_of(schedule), average_of(schedule)) == (FULL_TASK, 0.0)


def test_an_average_at_the_threshold_does_not_move_on(make_problem):
    config = CurriculumConfig(alpha=0.5, threshold=0.5)
    schedule = make_schedule([make_problem(points=1)], config, seed=0)
    visit(schedule, 1, attempts=1)
    assert (stage_of(schedule), average_of(schedule)) == (0, 0.5)
    visit(schedule, 1, attempts=1)
    assert stage_of(schedule) == FULL_TASK


def test_only_the_configured_kinds_make_stages(make_problem):
    config = CurriculumConfig(start_point_kinds=("while",))
    assert stage_of(make_schedule([make_problem(points=9)], config, seed=0)) == FULL_TASK


def test_mode_none_always_asks_whole_tasks_and_parses_nothing(make_problem):
    problems = [make_problem(0, points=9), make_problem(1, solution="print 'old'")]
    schedule = make_schedule(problems, CurriculumConfig(mode="none"), seed=0)
    for _ in range(3):
        tasks = schedule.sample(2)
        assert {(task.stage, task.prefix) for task in tasks} == {(FULL_TASK, "")}
        for task in tasks:
            schedule.observe(task, 8, 8, weight_version=0)
    metrics = schedule.metrics()
    assert (metrics["mean_stages_left"], metrics["full_task_share"]) == (0, 1)


def test_modes_none_and_cccs_visit_problems_in_the_same_order(make_problem):
    problems = [make_problem(i, points=i) for i in range(9)]
    orders = [
        [task.problem.id for task in make_schedule(problems, config, seed=3).sample(30)]
        for config in (CCCS, CurriculumConfig(mode="none"))
    ]
    assert orders[0] == orders[1]


def test_a_report_of_a_stage_that_was_left_is_stale(make_problem):
    schedule = make_schedule([make_problem(points=5)], CCCS, seed=0)
    first, *late = schedule.sample(4)
    schedule.observe(first, passed=8, attempts=8, weight_version=4)
    before = schedule.state_dict()
    for task in late:
        assert task.stage == 2
        schedule.observe(task, passed=8, attempts=8, weight_version=9)
    after = schedule.state_dict()
    assert after["progress"] == before["progress"]
    assert schedule.metrics()["stale_observations"] == 3
    assert in_flight(schedule) == []


def test_a_report_by_an_older_policy_than_one_that_counted_is_stale(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    for version in (3, 7, 5, 7):
        visit(schedule, 0, version=version)
    assert progress_of(schedule)["weight_version"] == 7
    metrics = schedule.metrics()
    assert (metrics["observations"], metrics["stale_observations"]) == (3, 1)


@given(steps=STEPS)
def test_reports_in_any_order_follow_algorithm_1(make_problem, steps):
    """Against a second implementation of Algorithm 1 and of what does not count."""
    schedule, tasks, settled = new_schedule(make_problem), [], set()
    stage = dict(zip(["p0", "p1", "p2", "p3", "p4", "p5"], [-1, 0, 1, 2, 2, 3], strict=True))
    average, newest = dict.fromkeys(stage, 0.0), dict.fromkeys(stage, -1)
    for step in steps:
        tasks, _ = play(schedule, [step], tasks)
        if isinstance(step, int) or not tasks:
            continue
        which, passed, attempts, version = step
        task = tasks[which % len(tasks)]
        name = task.problem.id
        counts = task.visit not in settled and attempts and task.stage == stage[name]
        settled.add(task.visit)
        if counts and version >= newest[name]:
            newest[name] = version
            average[name] = 0.7 * passed / attempts + 0.3 * average[name]
            if average[name] > 0.5 and stage[name] >= 0:
                stage[name], average[name] = stage[name] - 1, 0.0
    for number, name in enumerate(stage):
        assert stage_of(schedule, number) == stage[name]
        assert average_of(schedule, number) == pytest.approx(average[name])


@given(steps=STEPS)
def test_stages_fall_one_at_a_time_and_never_rise(make_problem, steps):
    schedule, tasks = new_schedule(make_problem), []
    for step in steps:
        before = [stage_of(schedule, number) for number in range(len(START_POINTS))]
        tasks, _ = play(schedule, [step], tasks)
        after = [stage_of(schedule, number) for number in range(len(START_POINTS))]
        moves = [a - b for a, b in zip(before, after, strict=True)]
        assert sum(moves) in (0, 1)
        assert min(moves) >= 0
        assert min(after) >= FULL_TASK
