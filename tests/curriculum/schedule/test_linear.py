import pytest

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import stage_of, visit

LINEAR = CurriculumConfig(mode="linear", linear_visits=4)
SIX = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return x\n"  # 6 cuts


@pytest.mark.parametrize("passed", [0, 8])
def test_the_prefix_shrinks_in_equal_steps_whatever_passes(make_problem, passed):
    schedule = make_schedule([make_problem(solution=SIX)], LINEAR, seed=0)
    # ceil(6 (4 - v) / 4) - 1 for v = 0..5
    assert [stage_of(schedule), *(visit(schedule, passed) for _ in range(5))] == [
        5, 4, 2, 1, FULL_TASK, FULL_TASK,
    ]  # fmt: skip


def test_every_visit_counts_however_late(make_problem):
    schedule = make_schedule([make_problem(solution=SIX)], LINEAR, seed=0)
    for task, stage in zip(schedule.sample(4), [4, 2, 1, FULL_TASK], strict=True):
        schedule.observe(task, 0, 8, weight_version=-task.visit)
        assert stage_of(schedule) == stage
