from typing import get_args

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import SCHEDULES, make_schedule


def test_every_configured_mode_has_a_schedule():
    modes = get_args(CurriculumConfig.model_fields["mode"].annotation)
    assert set(modes) == set(SCHEDULES)


def test_a_mode_makes_its_schedule(make_problem):
    for mode, schedule_type in SCHEDULES.items():
        config = CurriculumConfig.model_validate({"mode": mode})
        schedule = make_schedule([make_problem()], config, seed=0)
        assert type(schedule) is schedule_type
