"""What every schedule promises: late and repeated reports do no harm, and a restore is exact."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import CurriculumConfig
from curriculum.errors import IncompatibleState, UnusableData
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import (
    MODES,
    START_POINTS,
    STEPS,
    VARIANTS,
    config_of,
    in_flight,
    new_schedule,
    own_program,
    play,
)

CCCS = CurriculumConfig()
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def test_problems_without_start_points_are_asked_whole_at_once(make_problem):
    schedule = make_schedule([make_problem(points=0)], CCCS, seed=0)
    assert schedule.sample(1)[0].stage == FULL_TASK
    assert schedule.metrics()["full_task_share"] == 1


@every_variant
def test_a_second_report_of_a_visit_changes_only_the_count_of_duplicates(make_problem, variant):
    schedule = make_schedule([make_problem(points=5)], config_of(variant), seed=0)
    task, other = schedule.sample(2)
    schedule.observe(task, 5, 8, weight_version=0)
    before = schedule.state_dict()
    for passed in (0, 5, 8):
        schedule.observe(task, passed, 8, weight_version=3)
    after = schedule.state_dict()
    assert after["visits"]["observations"] == before["visits"]["observations"] | {"duplicate": 3}
    assert after | {"visits": None} == before | {"visits": None}
    assert in_flight(schedule) == [other.visit]


@every_variant
def test_a_visit_without_judged_programs_is_settled_and_changes_nothing(make_problem, variant):
    schedule = make_schedule([make_problem(points=5)], config_of(variant), seed=0)
    before = schedule.state_dict()["progress"]
    schedule.observe(schedule.sample(1)[0], 0, 0, weight_version=0)
    assert schedule.state_dict()["progress"] == before
    assert schedule.metrics()["unjudged_observations"] == 1
    assert in_flight(schedule) == []


@every_variant
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_the_order_of_reports_about_different_problems_does_not_matter(
    make_problem, variant, steps, order
):
    one, other = new_schedule(make_problem, variant), new_schedule(make_problem, variant)
    tasks, same_tasks = one.sample(30), other.sample(30)
    reports = [step for step in steps if not isinstance(step, int)]
    names = [task.problem.id for task in tasks]
    shuffled = sorted(set(names))
    order.shuffle(shuffled)
    regrouped = [r for name in shuffled for r in reports if names[r[0] % 30] == name]
    play(one, reports, tasks)
    play(other, regrouped, same_tasks)
    assert one.state_dict() == other.state_dict()


@every_variant
@given(steps=STEPS, doubled=st.lists(st.integers(0, 99), max_size=20))
def test_duplicates_change_nothing_but_their_count(make_problem, variant, steps, doubled):
    """Every report of one run comes again in the other, right away and some of them at the end."""
    one, other = new_schedule(make_problem, variant), new_schedule(make_problem, variant)
    tasks: list = []
    same_tasks: list = []
    for step in steps:
        tasks, _ = play(one, [step], tasks)
        twice = [step] if isinstance(step, int) else [step, step]
        same_tasks, _ = play(other, twice, same_tasks)
    for which in doubled:
        task = same_tasks[which % len(same_tasks)] if same_tasks else None
        if task is not None and task.visit not in in_flight(other):
            other.observe(task, 4, 4, weight_version=9)
    left, right = one.state_dict(), other.state_dict()
    for state in (left, right):
        del state["visits"]["observations"]["duplicate"]
    assert left == right


@every_variant
@given(past=STEPS, future=STEPS)
def test_a_restored_schedule_has_the_same_future(make_problem, variant, past, future):
    """Saved at any moment, with visits in flight: the same tasks, stages and counts follow."""
    schedule = new_schedule(make_problem, variant)
    tasks, _ = play(schedule, past)
    state = json.loads(json.dumps(schedule.state_dict()))
    restored = new_schedule(make_problem, variant, seed=17)
    restored.load_state_dict(state)
    assert restored.state_dict() == state
    assert play(restored, future, tasks) == play(schedule, future, tasks)
    assert restored.state_dict() == schedule.state_dict()


@every_variant
def test_reports_of_visits_sampled_before_a_restore_count(make_problem, variant):
    """As two runs: one never interrupted, one restored before anything was reported."""
    whole, interrupted = new_schedule(make_problem, variant), new_schedule(make_problem, variant)
    tasks = whole.sample(13)
    assert len({task.problem.id for task in tasks}) < len(tasks)
    assert interrupted.sample(13) == tasks
    restored = new_schedule(make_problem, variant, seed=5)
    restored.load_state_dict(json.loads(json.dumps(interrupted.state_dict())))
    assert in_flight(restored) == [task.visit for task in tasks]
    for schedule in (whole, restored):
        for task in tasks:
            schedule.observe(task, task.visit % 5, 5, weight_version=1)
    assert whole.state_dict() == restored.state_dict()
    assert whole.sample(20) == restored.sample(20)


@every_variant
@given(steps=STEPS)
def test_every_sampled_task_is_an_exact_cut_at_an_existing_stage(make_problem, variant, steps):
    schedule = new_schedule(make_problem, variant)
    play(schedule, steps)
    for task in schedule.sample(20):
        assert task.prefix + task.remainder == task.problem.solution
        assert FULL_TASK <= task.stage < max(task.stages, 1)


@every_variant
def test_a_policy_that_always_passes_ends_at_the_whole_task(make_problem, variant):
    schedule = new_schedule(make_problem, variant)
    for version in range(300):
        for task in schedule.sample(3):
            schedule.observe(task, 8, 8, version, [own_program(task)])
    assert set(schedule.stages().values()) == {FULL_TASK}
    assert {task.stage for task in schedule.sample(20)} == {FULL_TASK}


@every_variant
def test_no_problem_is_starved_by_the_failures_of_others(make_problem, variant):
    """A policy that solves only the problems that have few statements."""
    schedule = new_schedule(make_problem, variant)
    asked = Counter()
    for version in range(200):
        for task in schedule.sample(3):
            asked[task.problem.id] += 1
            schedule.observe(task, 0 if task.stages > 3 else 8, 8, weight_version=version)
    assert min(asked.values()) >= 600 / len(START_POINTS) / 10


def test_saved_state_does_not_change_with_the_schedule(make_problem):
    schedule = new_schedule(make_problem)
    state = schedule.state_dict()
    before = json.dumps(state)
    play(schedule, [5, (3, 4, 4, 0), 9])
    assert json.dumps(state) == before


@pytest.mark.parametrize(
    "change", ["fewer", "edited", "reworded", "retested", *(m for m in MODES if m != "cccs")]
)
def test_state_of_another_curriculum_is_refused_and_changes_nothing(make_problem, change):
    problems = [make_problem(i, points=4) for i in range(3)]
    schedule = make_schedule(problems, CCCS, seed=0)
    others, config, message = problems, CCCS, "of other problems or start points"
    if change == "fewer":
        others = problems[:2]
    elif change == "edited":
        others = [*problems[:2], make_problem(2, points=5)]
    elif change in ("reworded", "retested"):
        changed = {"reworded": {"question": "?"}, "retested": {"tests": problems[2].tests * 2}}
        others = [*problems[:2], problems[2].model_copy(update=changed[change])]
    else:
        config, message = CurriculumConfig(mode=change), f"of mode '{change}', not of mode 'cccs'"
    state = make_schedule(others, config, seed=1).state_dict()
    before = schedule.state_dict()
    with pytest.raises(IncompatibleState, match=message):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


def test_metrics_are_given_over_all_problems_and_per_tier(make_problem):
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
    assert in_flight(schedule) == [again.visit]


@pytest.mark.parametrize(("passed", "attempts"), [(3, 2), (-1, 2), (0, -1), (1, 0)])
def test_impossible_counts_are_refused(make_problem, passed, attempts):
    schedule = make_schedule([make_problem(points=1)], CCCS, seed=0)
    with pytest.raises(ValueError, match=f"{passed} of {attempts}"):
        schedule.observe(schedule.sample(1)[0], passed, attempts, weight_version=0)


def test_a_task_that_was_not_sampled_is_refused_and_changes_nothing(make_problem):
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
    with pytest.raises(UnusableData, match="'p7': its canonical solution is not Python 3"):
        make_schedule([make_problem(7, solution="print 'old'")], CCCS, seed=0)


def test_no_problems_and_doubled_ids_are_refused(make_problem):
    with pytest.raises(UnusableData, match="nothing to sample"):
        make_schedule([], CCCS, seed=0)
    with pytest.raises(UnusableData, match="share an id"):
        make_schedule([make_problem(1), make_problem(1)], CCCS, seed=0)
