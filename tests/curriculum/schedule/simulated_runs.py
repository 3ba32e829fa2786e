"""Schedules over small problems, and random sequences of samples and reports to play on them."""

from hypothesis import strategies as st

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import SCHEDULES, make_schedule
from curriculum.subtask import FULL_TASK

MODES = tuple(SCHEDULES)
OPTIONS = {"fade_by": 0.6, "prefixes_from": "policy", "longest_rest": 3}
VARIANTS = {mode: {"mode": mode} for mode in MODES} | {
    f"{mode}, options": {"mode": mode} | OPTIONS for mode in MODES if mode != "none"
}
"""Settings by name: every mode, alone and with the options of all modes."""
START_POINTS = (0, 1, 2, 5, 9, 10)
"""Start points of the problems p0, p1, ..."""
STEPS = st.lists(
    st.one_of(
        st.integers(1, 9),  # sample so many, after as many tenths of the run
        st.tuples(  # report one of the tasks sampled so far, again where it was reported before
            st.integers(0, 99), st.integers(0, 4), st.sampled_from([0, 4, 4, 4]), st.integers(0, 3)
        ),
    ),
    max_size=60,
)


def config_of(variant):
    return CurriculumConfig.model_validate({"linear_visits": 5} | VARIANTS[variant])


def new_schedule(make_problem, variant="cccs", seed=0):
    problems = [make_problem(number, points=e) for number, e in enumerate(START_POINTS)]
    return make_schedule(problems, config_of(variant), seed)


def play(schedule, steps, tasks=None):
    """Sample and report as the steps say; returns the tasks so far, and what was observed."""
    tasks, observed = list(tasks or ()), []
    for step in steps:
        if isinstance(step, int):
            tasks += schedule.sample(step, run_share=step / 10)
            observed.append([(t.problem.id, t.stage, t.visit, t.prefix) for t in tasks[-step:]])
        elif tasks:
            which, passed, attempts, version = step
            task, passed = tasks[which % len(tasks)], min(passed, attempts)
            programs = [own_program(task)] * passed
            schedule.observe(task, passed, attempts, version, programs)
            observed.append(schedule.metrics())
    return tasks, observed


def own_program(task):
    """What a policy may write behind a prefix; in some places it does not parse."""
    begin = task.prefix or "def f(x):"
    return (
        f"{begin}\n    y = x\n    if y:\n        y = 2\n    while y:\n        y -= 1\n    return x"
    )


def progress_of(schedule, number=0):
    return schedule.state_dict()["progress"][f"p{number}"]


def stage_of(schedule, number=0):
    return progress_of(schedule, number)["stage"]


def average_of(schedule, number=0):
    return progress_of(schedule, number)["pass_rate"]


def in_flight(schedule):
    """Numbers of the visits that were not reported on."""
    return [int(number) for number in schedule.state_dict()["visits"]["in_flight"]]


def sample_task(schedule, number=0, whole=False):
    """The next task of one problem, at any stage or whole."""
    while True:
        task = schedule.sample(1)[0]
        if task.problem.id == f"p{number}" and (task.stage == FULL_TASK or not whole):
            return task


def visit(schedule, passed, attempts=8, version=0, number=0, whole=False):
    """Sample and report one problem; returns its stage afterwards."""
    schedule.observe(sample_task(schedule, number, whole), passed, attempts, version)
    return stage_of(schedule, number)
