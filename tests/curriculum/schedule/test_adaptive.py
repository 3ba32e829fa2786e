"""The adaptive schedule's rules, worked by hand."""

from collections import Counter

import pytest

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import progress_of, sample_task, stage_of, visit

ADAPTIVE = CurriculumConfig(mode="adaptive", full_task_share=0)
MIXED = CurriculumConfig(mode="adaptive", full_task_share=0.5, longest_rest=3)
SIX = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return x\n"  # 6 cuts


def rest_of(schedule):
    return schedule.state_dict()["rests"]["rests"].get("p0", {"streak": 0, "left": 0})


def test_the_prefix_is_halved_on_success_and_gets_half_of_the_rest_on_failure(make_problem):
    schedule = make_schedule([make_problem(solution=SIX)], ADAPTIVE, seed=0)
    assert stage_of(schedule) == 5  # all but the last statement: 6 in the prefix
    assert visit(schedule, 8) == 2  # 3 in the prefix
    assert visit(schedule, 3) == 2  # between floor and threshold: it learns here
    assert visit(schedule, 8) == 0  # .7 * 1 + .3 * .375 = .8125; 1 in the prefix
    assert visit(schedule, 0) == 3  # 1 + ceil(5 / 2) = 4 in the prefix
    assert visit(schedule, 8) == 1
    assert visit(schedule, 8) == 0
    assert visit(schedule, 8) == FULL_TASK
    assert visit(schedule, 0) == 2  # and back, where the whole task is too hard after all


def test_a_mixed_in_whole_task_has_its_own_average_and_ends_the_search_when_solved(make_problem):
    schedule = make_schedule([make_problem(solution=SIX)], MIXED, seed=0)
    late = next(task for task in schedule.sample(20) if task.stage == 5)
    assert visit(schedule, 4, whole=True) == 5  # .35
    assert progress_of(schedule)["pass_rate"] == 0
    assert visit(schedule, 8, whole=True) == FULL_TASK  # .805
    schedule.observe(late, 0, 8, weight_version=0)
    assert stage_of(schedule) == FULL_TASK
    assert schedule.metrics()["stale_observations"] == 1


def test_a_report_of_an_earlier_stay_at_the_same_stage_is_stale(make_problem):
    schedule = make_schedule([make_problem(solution=SIX)], ADAPTIVE, seed=0)
    assert visit(schedule, 8) == 2
    late = sample_task(schedule)
    assert [visit(schedule, 8), visit(schedule, 0), visit(schedule, 8)] == [0, 3, 1]
    assert [visit(schedule, 0), visit(schedule, 8)] == [3, 1]
    assert late.stage == 2
    before = schedule.state_dict()["progress"]
    schedule.observe(late, 0, 8, weight_version=0)
    assert schedule.state_dict()["progress"] == before


def test_whole_tasks_are_mixed_in_by_their_share(make_problem):
    problems = [make_problem(i, points=4) for i in range(5)]
    for share in (0.0, 0.25, 1.0):
        config = CurriculumConfig(mode="adaptive", full_task_share=share)
        tasks = make_schedule(problems, config, seed=1).sample(2000)
        whole = sum(task.stage == FULL_TASK for task in tasks) / len(tasks)
        assert whole == pytest.approx(share, abs=0.03)


def test_always_solved_problems_rest_longer_each_time_and_come_back(make_problem):
    problems = [make_problem(0, points=0, solution="f = abs"), make_problem(1, points=3)]
    schedule = make_schedule(problems, MIXED.model_copy(update={"full_task_share": 0}), seed=0)
    rests = []
    for _ in range(3):
        visit(schedule, 8)
        rests.append(rest_of(schedule)["left"])
        asked = [task.problem.id for task in schedule.sample(rests[-1] * 2 + 2)]
        assert "p0" in asked
    assert rests == [1, 2, 3]
    visit(schedule, 4)
    assert rest_of(schedule)["streak"] == 0


def test_never_solved_problems_rest_but_are_sampled_when_all_rest(make_problem):
    schedule = make_schedule([make_problem(0, points=2)], ADAPTIVE, seed=0)
    visit(schedule, 0)
    visit(schedule, 0)
    assert rest_of(schedule)["left"] == 2
    assert len(schedule.sample(7)) == 7


def test_a_policy_is_held_where_some_of_its_programs_pass(make_problem):
    """A policy that can write the last three statements half of the time, and no more."""
    schedule = make_schedule([make_problem(solution=SIX)], ADAPTIVE, seed=0)
    stages = Counter()
    for _ in range(40):
        written = 6 - stage_of(schedule)
        visit(schedule, 8 if written < 3 else 4 if written == 3 else 0)
        stages[stage_of(schedule)] += 1
    assert stages[3] >= 35
