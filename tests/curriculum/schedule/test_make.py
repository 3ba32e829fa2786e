import re
from pathlib import Path
from typing import get_args

import pytest

from curriculum.config import CurriculumConfig
from curriculum.schedule import make
from curriculum.schedule.make import SCHEDULES, make_schedule

README = Path(make.__file__).parents[1] / "README.md"


def test_every_configured_mode_has_a_schedule():
    modes = get_args(CurriculumConfig.model_fields["mode"].annotation)
    assert set(modes) == set(SCHEDULES)


def test_a_mode_makes_its_schedule(make_problem):
    for mode, schedule_type in SCHEDULES.items():
        config = CurriculumConfig.model_validate({"mode": mode})
        schedule = make_schedule([make_problem()], config, seed=0)
        assert type(schedule) is schedule_type


@pytest.mark.parametrize("mode", SCHEDULES)
def test_a_mode_is_explained_where_people_look(mode):
    assert re.search(rf"\b{mode}: ", CurriculumConfig.model_fields["mode"].description or "")
    assert f"| `{mode}` | " in (make.__doc__ or ""), "the table of schedule/make.py"
    schedules = README.read_text().partition("## Schedules")[2].partition("### ")[0]
    assert f"| `{mode}` | " in schedules, "the table of curriculum/README.md"
