"""Problems that rest because every program solves them whole (`longest_rest`), in every mode."""

from collections import Counter

import pytest

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from tests.curriculum.schedule.simulated_runs import MODES


@pytest.mark.parametrize("mode", MODES)
def test_a_solved_problem_comes_more_rarely_and_an_unsolved_one_more_often(make_problem, mode):
    solved, other = make_problem(0, solution="f = abs"), make_problem(1)
    config = CurriculumConfig(mode=mode, longest_rest=3)
    schedule = make_schedule([solved, other], config, seed=0)
    asked = Counter()
    for version in range(40):
        [task] = schedule.sample(1)
        asked[task.problem.id] += 1
        schedule.observe(task, 8 if task.problem.id == "p0" else 4, 8, weight_version=version)
    assert asked["p1"] > 2.5 * asked["p0"] > 10
    assert schedule.metrics()["visits_left_out"] > 10
    assert schedule.metrics()["resting_share"] in (0, 0.5)


@pytest.mark.parametrize("mode", MODES)
def test_a_visit_that_is_not_solved_ends_the_rests(make_problem, mode):
    schedule = make_schedule(
        [make_problem(solution="f = abs")], CurriculumConfig(mode=mode, longest_rest=8), seed=0
    )
    left = []
    for passed in (8, 8, 8, 7, 8):
        schedule.observe(schedule.sample(1)[0], passed, 8, weight_version=0)
        left.append(schedule.state_dict()["rests"]["rests"].get("p0", {"left": 0})["left"])
    assert left == [1, 2, 4, 0, 1]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "adaptive"])
def test_without_the_setting_no_problem_rests_except_in_mode_adaptive(make_problem, mode):
    config = CurriculumConfig(mode=mode)
    assert config.rest_limit == 0
    assert CurriculumConfig(mode="adaptive").rest_limit == 8
    schedule = make_schedule([make_problem(0), make_problem(1)], config, seed=0)
    asked = Counter()
    for _ in range(20):
        [task] = schedule.sample(1)
        asked[task.problem.id] += 1
        schedule.observe(task, 8, 8, weight_version=0)
    assert asked == {"p0": 10, "p1": 10}
    assert "resting_share" not in schedule.metrics()
