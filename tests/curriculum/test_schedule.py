"""Algorithm 1 worked by hand, and a schedule that late reports and restarts cannot corrupt."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import CurriculumConfig
from curriculum.schedule import make_schedule
from curriculum.subtask import FULL_TASK

CCCS = CurriculumConfig()


def stage_of(schedule, problem_id="p0"):
    return schedule.state_dict()["progress"][problem_id]["stage"]


def average_of(schedule, problem_id="p0"):
    return schedule.state_dict()["progress"][problem_id]["pass_rate"]


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
        task = schedule.sample(1)[0]
        schedule.observe("p0", task.stage, passed, attempts=8, weight_version=0)
        assert stage_of(schedule) == after
        assert schedule.sample(1)[0].stage == after


def test_the_moving_average_by_hand(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    for expected in (0.35, 0.455, 0.4865):
        schedule.observe("p0", 0, passed=4, attempts=8, weight_version=0)
        assert average_of(schedule) == pytest.approx(expected)
    schedule.observe("p0", 0, passed=8, attempts=8, weight_version=0)
    assert (stage_of(schedule), average_of(schedule)) == (FULL_TASK, 0.0)


def test_an_average_at_the_threshold_does_not_move_on(make_problem):
    config = CurriculumConfig(alpha=0.5, threshold=0.5)
    schedule = make_schedule([make_problem(points=1)], config, seed=0)
    schedule.observe("p0", 0, passed=1, attempts=1, weight_version=0)
    assert (stage_of(schedule), average_of(schedule)) == (0, 0.5)
    schedule.observe("p0", 0, passed=1, attempts=1, weight_version=0)
    assert stage_of(schedule) == FULL_TASK


def test_problems_without_start_points_are_asked_whole_at_once(make_problem):
    schedule = make_schedule([make_problem(points=0)], CCCS, seed=0)
    assert schedule.sample(1)[0].stage == FULL_TASK
    assert schedule.metrics()["full_task_share"] == 1


def test_only_the_configured_kinds_make_stages(make_problem):
    config = CurriculumConfig(start_point_kinds=("while",))
    assert stage_of(make_schedule([make_problem(points=9)], config, seed=0)) == FULL_TASK


def test_mode_none_always_asks_whole_tasks_and_parses_nothing(make_problem):
    problems = [make_problem(0, points=9), make_problem(1, canonical_solution="print 'old'")]
    schedule = make_schedule(problems, CurriculumConfig(mode="none"), seed=0)
    for _ in range(3):
        tasks = schedule.sample(2)
        assert {(task.stage, task.prefix) for task in tasks} == {(FULL_TASK, "")}
        for task in tasks:
            schedule.observe(task.problem.id, task.stage, 8, 8, weight_version=0)
    metrics = schedule.metrics()
    assert (metrics["mean_stages_left"], metrics["full_task_share"]) == (0, 1)


def test_the_two_modes_visit_problems_in_the_same_order(make_problem):
    problems = [make_problem(i, points=i) for i in range(9)]
    orders = [
        [task.problem.id for task in make_schedule(problems, config, seed=3).sample(30)]
        for config in (CCCS, CurriculumConfig(mode="none"))
    ]
    assert orders[0] == orders[1]


def test_a_report_from_a_stage_that_was_left_is_counted_and_ignored(make_problem):
    schedule = make_schedule([make_problem(points=5)], CCCS, seed=0)
    schedule.observe("p0", 2, passed=8, attempts=8, weight_version=4)
    before = schedule.state_dict()
    for stage in (2, 0, FULL_TASK):
        schedule.observe("p0", stage, passed=8, attempts=8, weight_version=9)
    assert schedule.state_dict() == before | {"stale_observations": 3}
    assert schedule.metrics()["stale_observations"] == 3


def test_the_newest_weight_version_that_counted_is_recorded(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    for version in (3, 7, 5):
        schedule.observe("p0", 0, passed=0, attempts=8, weight_version=version)
    assert schedule.state_dict()["progress"]["p0"]["weight_version"] == 7


EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(-1, 3), st.integers(0, 4)), max_size=60
)  # problem, stage, passed of 4
POINTS = (0, 1, 2, 5, 9, 10)


def fresh(make_problem, seed=0):
    problems = [make_problem(number, points=e) for number, e in enumerate(POINTS)]
    return make_schedule(problems, CCCS, seed)


def report(schedule, events):
    for number, stage, passed in events:
        schedule.observe(f"p{number}", stage, passed, attempts=4, weight_version=0)


@given(events=EVENTS)
def test_reports_in_any_order_follow_the_written_rule(make_problem, events):
    schedule = fresh(make_problem)
    report(schedule, events)
    for number, e in enumerate(POINTS):
        stage, average = {0: -1, 1: 0, 2: 1, 5: 2, 9: 2, 10: 3}[e], 0.0
        for reported_stage, passed in [(s, p) for n, s, p in events if n == number]:
            if reported_stage == stage:
                average = 0.7 * (passed / 4) + 0.3 * average
                if average > 0.5 and stage >= 0:
                    stage, average = stage - 1, 0.0
        assert stage_of(schedule, f"p{number}") == stage
        assert average_of(schedule, f"p{number}") == pytest.approx(average)


@given(events=EVENTS, order=st.randoms(use_true_random=False))
def test_the_order_between_problems_does_not_matter(make_problem, events, order):
    shuffled = list(range(len(POINTS)))
    order.shuffle(shuffled)
    regrouped = [event for number in shuffled for event in events if event[0] == number]
    one, other = fresh(make_problem), fresh(make_problem)
    report(one, events)
    report(other, regrouped)
    assert one.state_dict() == other.state_dict()


@given(events=EVENTS)
def test_stages_only_ever_fall_one_at_a_time(make_problem, events):
    schedule = fresh(make_problem)
    for event in events:
        before = [stage_of(schedule, f"p{number}") for number in range(len(POINTS))]
        report(schedule, [event])
        after = [stage_of(schedule, f"p{number}") for number in range(len(POINTS))]
        moves = [a - b for a, b in zip(before, after, strict=True)]
        assert sum(moves) in (0, 1)
        assert min(moves) >= 0
        assert min(after) >= FULL_TASK


STEPS = st.lists(
    st.one_of(
        st.integers(0, 9), st.tuples(st.integers(0, 5), st.integers(-1, 3), st.integers(0, 4))
    )
)


def play(schedule, steps):
    """Sample where a step is a number, report where it is an event; everything that is seen."""
    seen = []
    for step in steps:
        if isinstance(step, int):
            seen.append([(task.problem.id, task.stage) for task in schedule.sample(step)])
        else:
            report(schedule, [step])
            seen.append(schedule.metrics())
    return seen


@given(past=STEPS, future=STEPS)
def test_a_restored_schedule_has_the_same_future(make_problem, past, future):
    schedule = fresh(make_problem)
    play(schedule, past)
    state = json.loads(json.dumps(schedule.state_dict()))
    restored = fresh(make_problem, seed=17)
    restored.load_state_dict(state)
    assert play(restored, future) == play(schedule, future)
    assert restored.state_dict() == schedule.state_dict()


def test_saved_state_does_not_change_with_the_schedule(make_problem):
    schedule = fresh(make_problem)
    state = schedule.state_dict()
    before = json.dumps(state)
    play(schedule, [5, (3, 2, 4), 9])
    assert json.dumps(state) == before


@pytest.mark.parametrize("change", ["fewer", "edited", "mode"])
def test_state_of_another_curriculum_is_refused_and_changes_nothing(make_problem, change):
    problems = [make_problem(i, points=4) for i in range(3)]
    schedule = make_schedule(problems, CCCS, seed=0)
    others, config = problems, CCCS
    if change == "fewer":
        others = problems[:2]
    elif change == "edited":
        others = [*problems[:2], make_problem(2, points=5)]
    else:
        config = CurriculumConfig(mode="none")
    state = make_schedule(others, config, seed=1).state_dict()
    before = schedule.state_dict()
    with pytest.raises(ValueError, match="other problems or start points"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


def test_metrics_tell_the_tiers_apart(make_problem):
    problems = [
        make_problem(0, points=0),
        make_problem(1, points=1),
        make_problem(2, points=9, difficulty="competition"),
    ]
    schedule = make_schedule(problems, CCCS, seed=0)
    schedule.observe("p2", 2, passed=4, attempts=4, weight_version=0)
    schedule.sample(4)
    assert schedule.metrics() == {
        "mean_stages_left": 1.0,
        "full_task_share": pytest.approx(1 / 3),
        "mean_stages_left/introductory": 0.5,
        "full_task_share/introductory": 0.5,
        "mean_stages_left/competition": 2.0,
        "full_task_share/competition": 0.0,
        "epoch": 1.0,
        "observations": 1.0,
        "stale_observations": 0.0,
    }


@pytest.mark.parametrize(("passed", "attempts"), [(0, 0), (3, 2), (-1, 2), (0, -1)])
def test_impossible_counts_are_refused(make_problem, passed, attempts):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    with pytest.raises(ValueError, match=f"{passed} of {attempts}"):
        schedule.observe("p0", 0, passed, attempts, weight_version=0)


def test_an_unknown_problem_is_refused(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    with pytest.raises(ValueError, match="'p9' is not of this curriculum"):
        schedule.observe("p9", 0, 1, 1, weight_version=0)


def test_a_solution_that_does_not_parse_is_named(make_problem):
    with pytest.raises(ValueError, match="'p7': its canonical solution does not parse"):
        make_schedule([make_problem(7, canonical_solution="print 'old'")], CCCS, seed=0)


def test_no_problems_and_doubled_ids_are_refused(make_problem):
    with pytest.raises(ValueError, match="nothing to sample"):
        make_schedule([], CCCS, seed=0)
    with pytest.raises(ValueError, match="share an id"):
        make_schedule([make_problem(1), make_problem(1)], CCCS, seed=0)
