"""Real solutions: all of MBPP and HumanEval, and the APPS samples, cut at every stage."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from curriculum.answer.assemble import assemble
from curriculum.config import CurriculumConfig, PromptConfig
from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.datasets.registry import read_source
from curriculum.problem import Problem, Test
from curriculum.prompt import Prompt
from curriculum.prompts.encode import PromptEncoder
from curriculum.prompts.render import PromptRenderer
from curriculum.schedule.make import make_schedule
from curriculum.start_points import START_POINT_KINDS, start_points
from curriculum.subtask import FULL_TASK, cut
from learner.tokenizer import token_bytes
from tests.curriculum.tokenizers import KINDS

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("STEPCODER_DATA", ROOT.parent / "shared" / "data"))
ALL = frozenset(START_POINT_KINDS)


def needed(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent; point STEPCODER_DATA at a folder that has {name}")
    return path


@pytest.fixture(scope="module")
def mbpp() -> list[Problem]:
    return list(read_source(needed("mbpp/mbpp.appsplus.jsonl")))


@pytest.fixture(scope="module")
def human_eval() -> list[Problem]:
    """Signature and docstring as starter code; the solution is both together."""
    with gzip.open(needed("humaneval/HumanEval.jsonl.gz"), "rt") as file:
        records = [json.loads(line) for line in file]
    return [
        Problem(
            id=record["task_id"],
            question="",
            starter_code=record["prompt"],
            solution=record["prompt"] + record["canonical_solution"],
            fn_name=record["entry_point"],
            tests=(Test(input=[], output=None),),
            difficulty="interview",
            source="humaneval",
        )
        for record in records
    ]


def check_every_cut(problem: Problem) -> int:
    """Cut at every stage; returns the number of stages."""
    stages = cut(problem, FULL_TASK, ALL).stages
    tasks = [cut(problem, stage, ALL) for stage in range(FULL_TASK, stages)]
    solution = problem.solution.encode()
    for task in tasks:
        assert task.prefix.encode() + task.remainder.encode() == solution
        assert not task.prefix[-1:].isspace()
        prompt = Prompt((), task.prefix, in_code_fence=False)
        assert assemble(problem, prompt, task.remainder).source == problem.program
    lengths = [len(task.prefix) for task in tasks]
    assert lengths[1:] == sorted(set(lengths[1:]))
    assert lengths == sorted(lengths)
    return stages


def test_all_of_mbpp_loads_and_cuts(mbpp):
    assert len(mbpp) == 965
    assert Counter(problem.difficulty for problem in mbpp) == {"introductory": 965}
    stages = Counter(check_every_cut(problem) for problem in mbpp)
    assert sum(stages.values()) == 965
    assert stages[0] < 965 / 2


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_of_mbpp_are_the_first_ids_of_the_whole_text(mbpp, kind):
    tokenizer = KINDS[kind]([f"{p.question}\n{p.solution}" for p in mbpp[:200]])
    encoder = PromptEncoder(tokenizer, token_bytes(tokenizer), PromptConfig())
    renderer = PromptRenderer(PromptConfig())
    removed = 0
    for problem in mbpp[200:500]:
        for stage in range(cut(problem, FULL_TASK, ALL).stages):
            task = cut(problem, stage, ALL)
            rendered = renderer.render(task)
            text = rendered.text + rendered.prefix + task.remainder
            whole = tokenizer.encode(text, add_special_tokens=False)
            prompt = encoder.encode(task)
            assert prompt.ids == tuple(whole[: len(prompt.ids)])
            removed += prompt.prefix != task.prefix
    assert (removed > 0) == (kind != "own")


def test_all_of_human_eval_cuts_behind_its_starter_code(human_eval):
    assert len(human_eval) == 164
    for problem in human_eval:
        check_every_cut(problem)
        assert cut(problem, FULL_TASK, ALL).prefix == problem.starter_code.rstrip()
    points = [len(start_points(problem.solution, ALL)) for problem in human_eval]
    assert sum(points) / len(points) == pytest.approx(1.93, abs=0.02)


def test_mbpp_as_published_with_carriage_returns_and_tabs_cuts_exactly(make_problem):
    records = [json.loads(line) for line in needed("mbpp/mbpp.jsonl").open(encoding="utf-8")]
    carriage_returns = sum("\r\n" in record["code"] for record in records)
    assert (len(records), carriage_returns) == (974, 972)
    for record in records:
        check_every_cut(make_problem(solution=record["code"]))


def test_the_apps_samples_cut(make_problem):
    files = sorted(needed("apps_sample/train").glob("*/solutions.json"))
    solutions = [source for file in files for source in json.loads(file.read_text())]
    assert len(files) == 5
    cuts = 0
    for source in solutions:
        try:
            compile(source, "<solution>", "exec", dont_inherit=True)
        except SyntaxError:  # some published solutions are Python 2
            continue
        cuts += check_every_cut(make_problem(solution=source))
    assert cuts > len(solutions)


def test_mbpp_is_read_as_written(mbpp, tmp_path):
    write_problems(tmp_path / "mbpp.jsonl", mbpp)
    assert read_problems(tmp_path / "mbpp.jsonl") == mbpp


def test_a_schedule_over_mbpp_reaches_the_full_task_everywhere(mbpp):
    schedule = make_schedule(mbpp, CurriculumConfig(), seed=0)
    most_stages = int(max(check_every_cut(problem) for problem in mbpp))
    assert schedule.metrics()["full_task_share"] < 0.5
    for _ in range(most_stages):
        for task in schedule.sample(len(mbpp)):
            schedule.observe(task, 8, 8, weight_version=0)
    assert schedule.metrics()["full_task_share"] == 1
