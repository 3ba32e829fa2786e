"""Linear and adaptive schedules: their rules by hand, and a state that resumes exactly."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.start_points import START_POINT_KINDS, start_points, statement_points
from curriculum.subtask import FULL_TASK, cut_before
from curriculum.synthetic.problems import synthetic_problems

LINEAR = CurriculumConfig(mode="linear", linear_visits=4)
ADAPTIVE = CurriculumConfig(mode="adaptive", full_task_share=0)
MIXED = CurriculumConfig(mode="adaptive", full_task_share=0.5, longest_rest=3)
SIX = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return x\n"  # 6 cuts
SIZES = (0, 1, 2, 5)


def progress_of(schedule, number=0):
    return schedule.state_dict()["progress"][f"p{number}"]


def stage_of(schedule, number=0):
    return progress_of(schedule, number)["stage"]


def ask(schedule, number=0, whole=False):
    """A visit of one problem, at its stage or whole."""
    while True:
        task = schedule.sample(1)[0]
        if task.problem.id == f"p{number}" and (task.stage == FULL_TASK or not whole):
            return task


def visit(schedule, passed, number=0, whole=False):
    schedule.observe(ask(schedule, number, whole), passed, attempts=8, weight_version=0)
    return stage_of(schedule, number)


@pytest.mark.parametrize("passed", [0, 8])
def test_linear_falls_in_equal_steps_whatever_passes(make_problem, passed):
    schedule = make_schedule([make_problem(canonical_solution=SIX)], LINEAR, seed=0)
    # ceil(6 (4 - v) / 4) - 1 for v = 0..5
    assert [stage_of(schedule), *(visit(schedule, passed) for _ in range(5))] == [
        5, 4, 2, 1, FULL_TASK, FULL_TASK,
    ]  # fmt: skip


def test_adaptive_halves_on_success_and_adds_half_of_the_rest_on_failure(make_problem):
    schedule = make_schedule([make_problem(canonical_solution=SIX)], ADAPTIVE, seed=0)
    assert stage_of(schedule) == 5  # all but the last statement: 6 given
    assert visit(schedule, 8) == 2  # 3 given
    assert visit(schedule, 3) == 2  # between floor and threshold: it learns here
    assert visit(schedule, 8) == 0  # .7 * 1 + .3 * .375 = .8125; 1 given
    assert visit(schedule, 0) == 3  # 1 + ceil(5 / 2) = 4 given
    assert visit(schedule, 8) == 1
    assert visit(schedule, 8) == 0
    assert visit(schedule, 8) == FULL_TASK
    assert visit(schedule, 0) == 2  # and back, where the whole task is too hard after all


def test_a_whole_task_mixed_in_counts_apart_and_ends_the_search_when_solved(make_problem):
    schedule = make_schedule([make_problem(canonical_solution=SIX)], MIXED, seed=0)
    late = next(task for task in schedule.sample(20) if task.stage == 5)
    assert visit(schedule, 4, whole=True) == 5  # .35
    assert progress_of(schedule)["pass_rate"] == 0
    assert visit(schedule, 8, whole=True) == FULL_TASK  # .805
    schedule.observe(late, 0, 8, weight_version=0)
    assert stage_of(schedule) == FULL_TASK
    assert schedule.metrics()["stale_observations"] == 1


def test_a_report_of_an_earlier_stay_at_the_same_stage_is_stale(make_problem):
    schedule = make_schedule([make_problem(canonical_solution=SIX)], ADAPTIVE, seed=0)
    assert visit(schedule, 8) == 2
    late = ask(schedule)
    assert [visit(schedule, 8), visit(schedule, 0), visit(schedule, 8)] == [0, 3, 1]
    assert [visit(schedule, 0), visit(schedule, 8)] == [3, 1]
    assert late.stage == 2
    before = schedule.state_dict()["progress"]
    schedule.observe(late, 0, 8, weight_version=0)
    assert schedule.state_dict()["progress"] == before


def test_linear_counts_every_visit_however_late(make_problem):
    schedule = make_schedule([make_problem(canonical_solution=SIX)], LINEAR, seed=0)
    for task, stage in zip(schedule.sample(4), [4, 2, 1, FULL_TASK], strict=True):
        schedule.observe(task, 0, 8, weight_version=-task.visit)
        assert stage_of(schedule) == stage


def test_whole_tasks_are_mixed_in_by_their_share(make_problem):
    problems = [make_problem(i, points=4) for i in range(5)]
    for share in (0.0, 0.25, 1.0):
        config = CurriculumConfig(mode="adaptive", full_task_share=share)
        tasks = make_schedule(problems, config, seed=1).sample(2000)
        whole = sum(task.stage == FULL_TASK for task in tasks) / len(tasks)
        assert whole == pytest.approx(share, abs=0.03)


def test_problems_with_nothing_to_learn_rest_longer_each_time_and_come_back(make_problem):
    problems = [make_problem(0, points=0, canonical_solution="f = abs"), make_problem(1, points=3)]
    schedule = make_schedule(problems, MIXED.model_copy(update={"full_task_share": 0}), seed=0)
    rests = []
    for _ in range(3):
        visit(schedule, 8)
        rests.append(progress_of(schedule)["rest"])
        asked = [task.problem.id for task in schedule.sample(rests[-1] * 2 + 2)]
        assert "p0" in asked
    assert rests == [1, 2, 3]
    visit(schedule, 4)
    assert progress_of(schedule)["streak"] == 0


def test_never_solved_problems_rest_and_all_at_rest_still_give_tasks(make_problem):
    schedule = make_schedule([make_problem(0, points=2)], ADAPTIVE, seed=0)
    visit(schedule, 0)
    visit(schedule, 0)
    assert progress_of(schedule)["rest"] == 2
    assert len(schedule.sample(7)) == 7


STEPS = st.lists(
    st.one_of(st.integers(1, 9), st.tuples(st.integers(0, 99), st.integers(0, 4))), max_size=40
)


def fresh(make_problem, config, seed=0):
    return make_schedule([make_problem(i, points=e) for i, e in enumerate(SIZES)], config, seed)


def play(schedule, steps):
    tasks = []
    for step in steps:
        if isinstance(step, int):
            tasks += schedule.sample(step)
        elif tasks:
            schedule.observe(tasks[step[0] % len(tasks)], step[1], attempts=4, weight_version=0)


@pytest.mark.parametrize("config", [LINEAR, ADAPTIVE], ids=["linear", "adaptive"])
@given(steps=STEPS)
def test_no_report_leads_to_a_stage_that_cannot_be_cut(make_problem, config, steps):
    schedule = fresh(make_problem, config)
    play(schedule, steps)
    for task in schedule.sample(20):
        assert task.prefix + task.remainder == task.problem.canonical_solution
        assert FULL_TASK <= task.stage < max(task.stages, 1)


def test_the_state_of_another_mode_is_refused(make_problem):
    schedule = fresh(make_problem, ADAPTIVE)
    before = schedule.state_dict()
    with pytest.raises(ValueError, match="not of mode 'adaptive'"):
        schedule.load_state_dict(fresh(make_problem, LINEAR).state_dict())
    assert schedule.state_dict() == before


def test_adaptive_holds_a_learner_where_some_of_its_programs_pass(make_problem):
    """A policy that can write the last three statements half of the time, and no more."""
    schedule = make_schedule([make_problem(canonical_solution=SIX)], ADAPTIVE, seed=0)
    stages = Counter()
    for _ in range(40):
        written = 6 - stage_of(schedule)
        visit(schedule, 8 if written < 3 else 4 if written == 3 else 0)
        stages[stage_of(schedule)] += 1
    assert stages[3] >= 35


@pytest.mark.parametrize(
    ("source", "starts"),
    [
        ("x = 1; y = 2\nz = 3\n", ["x = 1", "z = 3"]),
        ("if a: b = 1\nelif c:\n    d\nelse:\n    e\n", ["if a", "elif c", "d", "e"]),
        ("@p\n@q\ndef f():\n    return 1\n", ["@p", "return"]),
        ("s = '''\nif x:\n'''; t = 1\nu = 2", ["s =", "u ="]),
        ("match x:\n    case 1:\n        y\n", ["match", "y"]),
        ("ü = 'ä'\r\nif ü:\r\n\tpass\r\n", ["ü", "if ü", "pass"]),
    ],
)
def test_statements_are_cut_where_they_begin(source, starts):
    points = statement_points(source)
    assert len(points) == len(starts)
    for point, start in zip(points, starts, strict=True):
        assert source[point:].lstrip().startswith(start)


def test_every_start_point_is_before_a_statement_and_every_cut_is_exact():
    for problem in synthetic_problems(seed=2, per_tier=5):
        points = statement_points(problem.canonical_solution)
        kinds = frozenset(START_POINT_KINDS)
        assert set(start_points(problem.canonical_solution, kinds)) <= set(points)
        for index in range(len(points)):
            task = cut_before(problem, index, points)
            assert task.prefix + task.remainder == problem.canonical_solution
    with pytest.raises(ValueError, match="no index"):
        cut_before(problem, len(points), points)
