"""What each step asked and changed, in `curriculum.jsonl`."""

from __future__ import annotations

from pathlib import Path

from actors.runs.folder import RunFolder, read_jsonl
from actors.training.stage_log import StageLog
from curriculum.config import CurriculumConfig
from curriculum.problem import Problem, Test
from curriculum.schedule.make import make_schedule


def test_stages_and_numbers_of_stages_are_recorded_where_they_change(tmp_path: Path) -> None:
    solution = "def f(x):\n    a = x\n    b = a\n    return b\n"
    problem = Problem(
        id="p", question="q", solution=solution, fn_name="f", tests=(Test(input=[0], output=0),)
    )
    config = CurriculumConfig(mode="adaptive", full_task_share=0, prefixes_from="policy")
    schedule = make_schedule([problem], config, seed=0)
    folder = RunFolder(tmp_path)
    log = StageLog(folder, schedule)
    log.begin()
    own = "def f(x):\n    return x\n"
    for step, (passed, programs) in enumerate([(4, []), (4, [own]), (0, [])], 1):
        schedule.observe(schedule.sample(1)[0], passed, 8, weight_version=0, programs=programs)
        log.write(step, [])
    assert list(read_jsonl(folder.curriculum)) == [
        {"step": 0, "problems": {"p": ["introductory", 3, 2]}},
        {"step": 1, "asked": [], "stages": {}},
        {"step": 2, "asked": [], "stages": {"p": 0}, "counts": {"p": 1}},
        {"step": 3, "asked": [], "stages": {}},
    ]
