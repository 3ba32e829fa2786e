"""Answers as models write them get the verdict that a knowledgeable person would give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.answer.assemble import assemble
from curriculum.problem import Problem, Test
from curriculum.prompt import Prompt
from sandbox import Job, Sandbox

CASES = Path(__file__).parents[1] / "curriculum" / "answer" / "cases.jsonl"
ANSWERS = [json.loads(line) for line in CASES.read_text().splitlines()]


@pytest.mark.docker
@pytest.mark.parametrize("answer", ANSWERS, ids=[answer["id"] for answer in ANSWERS])
def test_the_program_of_an_answer_gets_its_verdict(
    docker_sandbox: Sandbox, answer: dict[str, Any]
) -> None:
    tests = tuple(Test(**test) for test in answer["tests"])
    problem = Problem(id=answer["id"], question="", solution="pass", fn_name=answer["fn_name"],
                      tests=tests)  # fmt: skip
    program = assemble(problem, Prompt((), "", in_code_fence=False), answer["completion"])
    verdict = docker_sandbox.run(Job.for_program(problem, program.source))
    assert verdict.outcome.value == answer["must"], answer["why"]
