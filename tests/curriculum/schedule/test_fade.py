"""Prefixes that fade to none by a share of the run (`fade_by`)."""

import pytest

from curriculum.schedule.base import shown_share
from curriculum.schedule.make import make_schedule
from curriculum.subtask import FULL_TASK
from tests.curriculum.schedule.simulated_runs import VARIANTS, config_of, stage_of

FADED = [name for name in VARIANTS if name.endswith(", options")]  # by 0.6


def test_the_share_shown_falls_along_half_a_cosine():
    shares = [shown_share(done / 10, 0.6) for done in range(11)]
    assert shares[:4] == pytest.approx([1, 0.933, 0.75, 0.5], abs=1e-3)
    assert shares[6:] == [0] * 5
    assert shares == sorted(shares, reverse=True)
    assert shown_share(0.9, None) == 1


@pytest.mark.parametrize("variant", FADED)
def test_no_prefix_is_longer_than_allowed_and_none_is_given_from_the_share_on(
    make_problem, variant
):
    """A policy that never passes, so that nothing but the fade shortens a prefix."""
    problems = [make_problem(number, points=9) for number in range(3)]
    schedule = make_schedule(problems, config_of(variant), seed=0)
    for step in range(100):
        for task in schedule.sample(3, run_share=step / 100):
            assert task.stage + 1 <= shown_share(step / 100, 0.6) * task.stages
            assert step < 60 or task.stage == FULL_TASK
            schedule.observe(task, 0, 8, weight_version=step)
    assert len({task.problem.id for task in schedule.sample(9, run_share=1.0)}) == 3


@pytest.mark.parametrize("variant", FADED)
def test_the_first_steps_of_a_run_still_give_prefixes(make_problem, variant):
    schedule = make_schedule([make_problem(points=9)], config_of(variant), seed=0)
    for _ in range(20):
        [task] = schedule.sample(1, run_share=0.01)
        if task.stage > FULL_TASK:
            return
        schedule.observe(task, 0, 8, weight_version=0)
    raise AssertionError("a run's first hundredth took every prefix away")


@pytest.mark.parametrize("variant", FADED)
def test_before_it_begins_to_fade_nothing_is_different(make_problem, variant):
    config = config_of(variant)
    problems = [make_problem(number, points=9) for number in range(3)]
    faded = make_schedule(problems, config, seed=0)
    plain = make_schedule(problems, config.model_copy(update={"fade_by": None}), seed=0)
    assert faded.sample(30, run_share=0.0) == plain.sample(30)


def test_a_task_that_was_shortened_says_something_about_the_present_stage(make_problem):
    schedule = make_schedule([make_problem(points=9)], config_of("cccs, options"), seed=0)
    assert stage_of(schedule) == 2
    [task] = schedule.sample(1, run_share=0.3)
    assert (task.stage, stage_of(schedule)) == (0, 0)  # half of three stages
    schedule.observe(task, 8, 8, weight_version=0)
    assert stage_of(schedule) == FULL_TASK
