"""Prompts that do not fit: which problems and stages are left out, and how it is said."""

from types import SimpleNamespace

import pytest

from curriculum.config import CurriculumConfig, PromptConfig
from curriculum.prompts.encode import PromptEncoder
from curriculum.prompts.fit import by_tier, fit, named, prompt_lengths
from curriculum.schedule.make import SCHEDULES, make_schedule, stage_offsets
from curriculum.subtask import FULL_TASK, cut_before

BYTES = SimpleNamespace(
    chat_template=None, encode=lambda text, add_special_tokens: list(text.encode())
)
"""A tokenizer whose tokens are bytes."""


@pytest.fixture
def encoder():
    table = [bytes([byte]) for byte in range(256)]
    return PromptEncoder(BYTES, table, PromptConfig(template="bare"))


def lengths_of(encoder, problems, config):
    return {p.id: prompt_lengths(encoder, p, stage_offsets(p, config)) for p in problems}


def test_lengths_are_those_of_the_prompts_of_every_stage(encoder, make_problem):
    problem = make_problem(points=9)
    offsets = stage_offsets(problem, CurriculumConfig())
    whole, *stages = prompt_lengths(encoder, problem, offsets)
    assert whole == len(f"{problem.question}\n")
    prefixes = [cut_before(problem, stage, offsets).prefix for stage in range(len(offsets))]
    assert stages == [whole + len(prefix) for prefix in prefixes]


def test_a_problem_is_left_out_whole_and_a_stage_alone(encoder, make_problem):
    problems = [
        make_problem(0, points=9),
        make_problem(1, points=0),
        make_problem(2, points=0, question="#" * 300, difficulty="competition"),
    ]
    lengths = lengths_of(encoder, problems, CurriculumConfig())
    _, *stages = lengths["p0"]
    made = fit(problems, lengths, longest=stages[1])
    assert [problem.id for problem in made.problems] == ["p0", "p1"]
    assert [(p.problem_id, p.tier, p.tokens) for p in made.too_long] == [("p2", "competition", 301)]
    assert made.stage_limits == {"p0": 2}
    assert fit(problems, lengths, longest=301).too_long == ()
    assert fit(problems, lengths, longest=301).stage_limits == {}


@pytest.mark.parametrize("mode", SCHEDULES)
def test_a_schedule_never_asks_a_stage_that_does_not_fit(encoder, make_problem, mode):
    config = CurriculumConfig(mode=mode)
    problems = [make_problem(0, points=16), make_problem(1, points=2)]
    lengths = lengths_of(encoder, problems, config)
    longest = lengths["p0"][0] + 60
    made = fit(problems, lengths, longest)
    schedule = make_schedule(made.problems, config, 0, made.stage_limits)
    asked = set()
    for visit in range(60):
        [task] = schedule.sample(1)
        asked.add(task.stage)
        assert len(encoder.encode(task).ids) <= longest
        schedule.observe(task, passed=visit % 2, attempts=1, weight_version=0)
    assert (asked == {FULL_TASK}) == (mode == "none")


def test_a_schedule_of_other_limits_is_another_one(make_problem):
    problems = [make_problem(points=9)]
    limited, free = (
        make_schedule(problems, CurriculumConfig(), 0, limits) for limits in ({"p0": 1}, None)
    )
    with pytest.raises(ValueError, match="other problems or start points"):
        free.load_state_dict(limited.state_dict())


def test_many_are_counted_and_some_named():
    assert by_tier(["competition", "introductory", "introductory"]) == (
        "2 introductory, 1 competition"
    )
    assert named([f"p{i}" for i in range(12)]).endswith("p8, p9 and 2 more")
