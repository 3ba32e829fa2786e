"""Algorithm 1 worked by hand, and a schedule that late reports and restarts cannot corrupt."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK

CCCS = CurriculumConfig()
MODES = ("none", "cccs", "linear", "adaptive")


def stage_of(schedule, problem_id="p0"):
    return schedule.state_dict()["progress"][problem_id]["stage"]


def report(schedule, passed, of=8, version=0, number=0):
    """Visit one problem; returns the stage after it."""
    task = schedule.sample(1)[0]
    while task.problem.id != f"p{number}":
        task = schedule.sample(1)[0]
    schedule.observe(task, passed, of, version)
    return stage_of(schedule, f"p{number}")


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
        assert report(schedule, passed) == after
        assert schedule.sample(1)[0].stage == after


def test_the_moving_average_by_hand(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    for expected in (0.35, 0.455, 0.4865):
        report(schedule, 4)
        assert average_of(schedule) == pytest.approx(expected)
    report(schedule, 8)
    assert (stage_of(schedule), average_of(schedule)) == (FULL_TASK, 0.0)


def test_an_average_at_the_threshold_does_not_move_on(make_problem):
    config = CurriculumConfig(alpha=0.5, threshold=0.5)
    schedule = make_schedule([make_problem(points=1)], config, seed=0)
    report(schedule, 1, of=1)
    assert (stage_of(schedule), average_of(schedule)) == (0, 0.5)
    report(schedule, 1, of=1)
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
            schedule.observe(task, 8, 8, weight_version=0)
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
    first, *late = schedule.sample(4)
    schedule.observe(first, passed=8, attempts=8, weight_version=4)
    before = schedule.state_dict()
    for task in late:
        assert task.stage == 2
        schedule.observe(task, passed=8, attempts=8, weight_version=9)
    after = schedule.state_dict()
    assert after["progress"] == before["progress"]
    assert schedule.metrics()["stale_observations"] == 3
    assert schedule.in_flight() == []


def test_a_report_by_an_older_policy_than_one_that_counted_is_stale(make_problem):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    for version in (3, 7, 5, 7):
        report(schedule, 0, version=version)
    assert schedule.state_dict()["progress"]["p0"]["weight_version"] == 7
    metrics = schedule.metrics()
    assert (metrics["observations"], metrics["stale_observations"]) == (3, 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_second_report_of_a_visit_changes_nothing(make_problem, mode):
    schedule = make_schedule([make_problem(points=5)], CurriculumConfig(mode=mode), seed=0)
    task, other = schedule.sample(2)
    schedule.observe(task, 5, 8, weight_version=0)
    before = schedule.state_dict()
    for passed in (0, 5, 8):
        schedule.observe(task, passed, 8, weight_version=3)
    after = schedule.state_dict()
    assert before.pop("observations") | {"duplicate_": 3} == after.pop("observations")
    assert after == before
    assert schedule.in_flight() == [other]


@pytest.mark.parametrize("mode", MODES)
def test_a_visit_of_which_nothing_could_be_judged_is_settled_and_says_nothing(make_problem, mode):
    schedule = make_schedule([make_problem(points=5)], CurriculumConfig(mode=mode), seed=0)
    before = schedule.state_dict()["progress"]
    schedule.observe(schedule.sample(1)[0], 0, 0, weight_version=0)
    assert schedule.state_dict()["progress"] == before
    assert schedule.metrics()["unjudged_observations"] == 1
    assert schedule.in_flight() == []


POINTS = (0, 1, 2, 5, 9, 10)
STEPS = st.lists(
    st.one_of(
        st.integers(1, 9),  # sample so many
        st.tuples(  # report one of the tasks sampled so far, again where it was reported before
            st.integers(0, 99), st.integers(0, 4), st.sampled_from([0, 4, 4, 4]), st.integers(0, 3)
        ),
    ),
    max_size=60,
)


def fresh(make_problem, mode="cccs", seed=0):
    problems = [make_problem(number, points=e) for number, e in enumerate(POINTS)]
    config = CurriculumConfig(mode=mode, linear_visits=5, longest_rest=3)
    return make_schedule(problems, config, seed)


def play(schedule, steps, tasks=None):
    """Sample and report as the steps say; the tasks so far, and everything that is seen."""
    tasks, seen = list(tasks or ()), []
    for step in steps:
        if isinstance(step, int):
            tasks += schedule.sample(step)
            seen.append([(t.problem.id, t.stage, t.visit, t.prefix) for t in tasks[-step:]])
        elif tasks:
            which, passed, attempts, version = step
            schedule.observe(tasks[which % len(tasks)], min(passed, attempts), attempts, version)
            seen.append(schedule.metrics())
    return tasks, seen


@given(steps=STEPS)
def test_reports_in_any_order_follow_the_written_rule(make_problem, steps):
    """The rule once more, written for a person: Algorithm 1, and what does not count."""
    schedule, tasks, settled = fresh(make_problem), [], set()
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
    for name in stage:
        assert stage_of(schedule, name) == stage[name]
        assert average_of(schedule, name) == pytest.approx(average[name])


@pytest.mark.parametrize("mode", MODES)
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_the_order_between_problems_does_not_matter(make_problem, mode, steps, order):
    one, other = fresh(make_problem, mode), fresh(make_problem, mode)
    tasks, again = one.sample(30), other.sample(30)
    reports = [step for step in steps if not isinstance(step, int)]
    names = [task.problem.id for task in tasks]
    shuffled = sorted(set(names))
    order.shuffle(shuffled)
    regrouped = [r for name in shuffled for r in reports if names[r[0] % 30] == name]
    play(one, reports, tasks)
    play(other, regrouped, again)
    left, right = one.state_dict(), other.state_dict()
    assert left == right


@pytest.mark.parametrize("mode", MODES)
@given(steps=STEPS, doubled=st.lists(st.integers(0, 99), max_size=20))
def test_duplicates_change_nothing_but_their_count(make_problem, mode, steps, doubled):
    """Every report of one run comes again in the other, right away and some of them at the end."""
    one, other = fresh(make_problem, mode), fresh(make_problem, mode)
    tasks: list = []
    again: list = []
    for step in steps:
        tasks, _ = play(one, [step], tasks)
        again, _ = play(other, [step] if isinstance(step, int) else [step, step], again)
    flying = {task.visit for task in other.in_flight()}
    for which in doubled:
        if again and again[which % len(again)].visit not in flying:
            other.observe(again[which % len(again)], 4, 4, weight_version=9)
    left, right = one.state_dict(), other.state_dict()
    assert left.pop("observations") | {"duplicate_": 0} == right.pop("observations") | {
        "duplicate_": 0
    }
    assert left == right


@given(steps=STEPS)
def test_stages_only_ever_fall_one_at_a_time(make_problem, steps):
    schedule, tasks = fresh(make_problem), []
    for step in steps:
        before = [stage_of(schedule, f"p{number}") for number in range(len(POINTS))]
        tasks, _ = play(schedule, [step], tasks)
        after = [stage_of(schedule, f"p{number}") for number in range(len(POINTS))]
        moves = [a - b for a, b in zip(before, after, strict=True)]
        assert sum(moves) in (0, 1)
        assert min(moves) >= 0
        assert min(after) >= FULL_TASK


@pytest.mark.parametrize("mode", MODES)
@given(past=STEPS, future=STEPS)
def test_a_restored_schedule_has_the_same_future(make_problem, mode, past, future):
    """Saved at any moment, with visits in flight: the same tasks, stages and counts follow."""
    schedule = fresh(make_problem, mode)
    tasks, _ = play(schedule, past)
    state = json.loads(json.dumps(schedule.state_dict()))
    restored = fresh(make_problem, mode, seed=17)
    restored.load_state_dict(state)
    assert restored.in_flight() == schedule.in_flight()
    assert play(restored, future, tasks) == play(schedule, future, tasks)
    assert restored.state_dict() == schedule.state_dict()


@pytest.mark.parametrize("mode", MODES)
def test_a_run_cut_off_with_visits_in_flight_asks_them_again(make_problem, mode):
    """As two runs: one never interrupted, one restored before anything was reported."""
    whole, cut_off = fresh(make_problem, mode), fresh(make_problem, mode)
    tasks = whole.sample(13)
    assert len({task.problem.id for task in tasks}) < len(tasks)
    cut_off.sample(13)
    restored = fresh(make_problem, mode, seed=5)
    restored.load_state_dict(json.loads(json.dumps(cut_off.state_dict())))
    assert restored.in_flight() == tasks
    for schedule, asked in ((whole, tasks), (restored, restored.in_flight())):
        for task in asked:
            schedule.observe(task, task.visit % 5, 5, weight_version=1)
    assert whole.state_dict() == restored.state_dict()
    assert whole.sample(20) == restored.sample(20)


def test_saved_state_does_not_change_with_the_schedule(make_problem):
    schedule = fresh(make_problem)
    state = schedule.state_dict()
    before = json.dumps(state)
    play(schedule, [5, (3, 4, 4, 0), 9])
    assert json.dumps(state) == before


@pytest.mark.parametrize("change", ["fewer", "edited", "none", "linear", "adaptive"])
def test_state_of_another_curriculum_is_refused_and_changes_nothing(make_problem, change):
    problems = [make_problem(i, points=4) for i in range(3)]
    schedule = make_schedule(problems, CCCS, seed=0)
    others, config = problems, CCCS
    if change == "fewer":
        others = problems[:2]
    elif change == "edited":
        others = [*problems[:2], make_problem(2, points=5)]
    else:
        config = CurriculumConfig(mode=change)
    state = make_schedule(others, config, seed=1).state_dict()
    before = schedule.state_dict()
    with pytest.raises(ValueError, match=r"of other problems or start points|of another mode"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


def test_metrics_tell_the_tiers_apart(make_problem):
    problems = [
        make_problem(0, points=0),
        make_problem(1, points=1),
        make_problem(2, points=9, difficulty="competition"),
    ]
    schedule = make_schedule(problems, CCCS, seed=0)
    first, second, third, again = schedule.sample(4)
    for task in (first, second, third):
        schedule.observe(task, 4 if task.problem.id == "p2" else 0, 4, weight_version=0)
    assert schedule.metrics() == {
        "mean_stages_left": 1.0,
        "full_task_share": pytest.approx(1 / 3),
        "mean_stages_left/introductory": 0.5,
        "full_task_share/introductory": 0.5,
        "mean_stages_left/competition": 2.0,
        "full_task_share/competition": 0.0,
        "epoch": 1.0,
        "in_flight": 1.0,
        "observations": 3.0,
        "stale_observations": 0.0,
        "duplicate_observations": 0.0,
        "unjudged_observations": 0.0,
    }
    assert schedule.in_flight() == [again]


@pytest.mark.parametrize(("passed", "attempts"), [(3, 2), (-1, 2), (0, -1), (1, 0)])
def test_impossible_counts_are_refused(make_problem, passed, attempts):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    with pytest.raises(ValueError, match=f"{passed} of {attempts}"):
        schedule.observe(schedule.sample(1)[0], passed, attempts, weight_version=0)


def test_a_task_that_was_not_asked_is_refused_and_changes_nothing(make_problem):
    schedule = make_schedule([make_problem(points=5)], CCCS, seed=0)
    task = schedule.sample(1)[0]
    before = schedule.state_dict()
    for wrong in (
        replace(task, visit=1),
        replace(task, visit=-1),
        replace(task, stage=1),
        replace(task, problem=make_problem(9, points=5)),
    ):
        with pytest.raises(ValueError, match="was not asked at stage"):
            schedule.observe(wrong, 1, 1, weight_version=0)
    assert schedule.state_dict() == before


def test_a_solution_that_does_not_parse_is_named(make_problem):
    with pytest.raises(ValueError, match="'p7': its canonical solution does not parse"):
        make_schedule([make_problem(7, canonical_solution="print 'old'")], CCCS, seed=0)


def test_no_problems_and_doubled_ids_are_refused(make_problem):
    with pytest.raises(ValueError, match="nothing to sample"):
        make_schedule([], CCCS, seed=0)
    with pytest.raises(ValueError, match="share an id"):
        make_schedule([make_problem(1), make_problem(1)], CCCS, seed=0)
