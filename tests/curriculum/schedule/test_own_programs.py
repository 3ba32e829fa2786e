"""Prefixes from the policy's own passing programs (`prefixes_from policy`), worked by hand."""

import json

import pytest

from curriculum.config import CurriculumConfig
from curriculum.errors import IncompatibleState
from curriculum.schedule.make import SCHEDULES, make_schedule
from curriculum.schedule.own_programs import LONGEST, rescaled
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import progress_of, sample_task, stage_of

SIX = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return x\n"  # 6 cuts
THREE = "def f(x):\n    y = x\n    z = y\n    return z\n"  # 3 cuts


def config_of(mode):
    return CurriculumConfig(
        mode=mode, prefixes_from="policy", full_task_share=0, linear_visits=1000
    )


@pytest.fixture
def linear(make_problem):
    """Stays at its stage, near enough, whatever passes."""
    return make_schedule([make_problem(solution=SIX)], config_of("linear"), seed=0)


def report(schedule, *programs, passed=4):
    """Sample and report one task; returns the source of the next one that is cut."""
    task = sample_task(schedule)
    schedule.observe(task, passed, 8, 0, programs)
    return sample_task(schedule).problem.solution


def test_prefixes_are_cut_from_the_first_program_that_passed(linear):
    completed = SIX.replace("return x", "return 0 + x")
    assert report(linear, completed, THREE) == completed
    task = sample_task(linear)
    assert task.prefix + task.remainder == completed
    assert linear.metrics()["own_program_share"] == 1


def test_a_program_is_replaced_only_by_one_with_less_canonical_code(make_problem):
    schedule = make_schedule([make_problem(solution=SIX)], config_of("drawn"), seed=3)
    seen = []
    for number in range(60):
        [task] = schedule.sample(1)
        own = f"{task.prefix or 'def f(x):'}\n    n = {number}\n    return n\n"
        canonical = 0 if task.stage == FULL_TASK else len(task.prefix)
        if "n = " in task.prefix:
            canonical = min(canonical, task.prefix.index("\n    n = "))
        schedule.observe(task, 8, 8, 0, [own])
        seen.append((canonical, schedule.state_dict()["own_programs"]["p0"]["foreign"]))
    kept = [foreign for _, foreign in seen]
    assert kept == [min(given for given, _ in seen[: at + 1]) for at in range(len(seen))]
    assert kept[-1] == 0


def test_a_problem_keeps_its_share_of_the_prefix(linear):
    assert stage_of(linear) == 5
    report(linear, THREE)
    assert (stage_of(linear), sample_task(linear).stages) == (2, 3)
    assert [rescaled(stage, 6, 3) for stage in (-1, 0, 1, 3, 5)] == [-1, 0, 0, 1, 2]
    assert rescaled(0, 9, 3) == 0, "a prefix stays one"


def test_a_problem_without_a_solution_gets_a_curriculum_from_what_passed(make_problem):
    problem = make_problem(solution="")
    """A curriculum begins with the longest prefix that its mode gives first; linear's is timed."""
    first = dict.fromkeys(SCHEDULES, 2) | {"cccs": 0, "none": FULL_TASK, "unguided": FULL_TASK}
    for mode, stage in first.items():
        schedule = make_schedule([problem], config_of(mode), seed=0)
        task = sample_task(schedule)
        assert (task.stage, task.stages, task.prefix) == (FULL_TASK, 0, "")
        source = THREE.replace("z = y", "if y: z = y") if mode == "cccs" else THREE
        schedule.observe(task, 1, 8, 0, [source])
        assert stage_of(schedule) == stage, mode
        solved = make_schedule([problem], config_of(mode), seed=0)
        solved.observe(sample_task(solved), 8, 8, 0, [source])
        assert stage_of(solved) == FULL_TASK, mode


def test_whole_tasks_are_those_of_the_data_set(make_problem):
    problem = make_problem(solution=SIX)
    schedule = make_schedule([problem], config_of("unguided"), seed=0)
    assert report(schedule, THREE) == SIX
    schedule.observe(sample_task(schedule), 0, 8, 0)
    guided = sample_task(schedule)
    assert (guided.stage, guided.problem.solution) == (1, THREE)


def test_programs_that_cannot_be_cut_are_not_kept(linear):
    long = THREE + "#" * LONGEST
    assert report(linear, "def f(x) return x", long, "f = abs\n") == SIX
    assert linear.metrics()["own_program_share"] == 0


def test_a_visit_that_was_cut_from_the_former_program_is_stale_but_its_programs_count(linear):
    first, second = linear.sample(2)
    linear.observe(first, 4, 8, 0, [SIX])
    before = progress_of(linear)["moves"]
    linear.observe(second, 4, 8, 0, [])
    assert progress_of(linear)["moves"] >= before
    assert linear.metrics()["observations"] == 2, "linear counts every visit"
    cccs = make_schedule([first.problem], config_of("adaptive"), seed=0)
    one, other = cccs.sample(2)
    cccs.observe(one, 4, 8, 0, [SIX])
    cccs.observe(other, 4, 8, 0, [SIX])
    assert cccs.metrics()["stale_observations"] == 1


def test_by_default_programs_are_not_kept(make_problem):
    schedule = make_schedule([make_problem(solution=SIX)], CurriculumConfig(mode="linear"), seed=0)
    assert report(schedule, THREE) == SIX
    assert schedule.state_dict()["own_programs"] == {}


def test_a_state_with_own_programs_needs_the_setting_and_restores_the_cuts(make_problem, linear):
    report(linear, THREE)
    state = json.loads(json.dumps(linear.state_dict()))
    problems = [make_problem(solution=SIX)]
    other = make_schedule(problems, CurriculumConfig(mode="linear"), seed=0)
    with pytest.raises(IncompatibleState, match="prefixes_from to policy"):
        other.load_state_dict(state)
    fresh = make_schedule(problems, config_of("linear"), seed=1)
    before = fresh.state_dict()
    fresh.load_state_dict(state)
    assert sample_task(fresh).problem.solution == THREE
    fresh.load_state_dict(before)
    assert sample_task(fresh).problem.solution == SIX, "a return to an earlier checkpoint"
