"""Canonical solutions of the real data sets pass their own tests, in containers."""

import gzip
import json
import os
from pathlib import Path

import pytest

from curriculum.datasets.registry import FORMATS, read_source
from curriculum.problem import Assertions
from sandbox import Job, Limits, Outcome

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("STEPCODER_DATA", ROOT.parent / "shared" / "data"))


def data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent; point STEPCODER_DATA at a folder that has {name}")
    return path


def test_humanevals_solutions_pass(docker_sandbox):
    with gzip.open(data("humaneval/HumanEval.jsonl.gz"), "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    failed = {}
    for record in records:
        verdict = docker_sandbox.run(
            Job(
                id=record["task_id"],
                source=record["prompt"] + record["canonical_solution"],
                fn_name=None,
                assertions=Assertions.of_check(record["test"], record["entry_point"]),
            )
        )
        assert not verdict.trusted_tests
        if verdict.outcome is not Outcome.passed:
            failed[record["task_id"]] = (verdict.outcome.value, verdict.error)
    assert len(records) == 164
    assert failed == {}


def test_mbpps_solutions_pass(docker_sandbox):
    lines = data("mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines()
    failed = {}
    for record in map(json.loads, lines):
        verdict = docker_sandbox.run(
            Job(
                id=str(record["task_id"]),
                source=record["code"],
                fn_name=None,
                assertions=Assertions(
                    setup=record["test_setup_code"], statements=tuple(record["test_list"])
                ),
                limits=Limits(wall_seconds=30, cpu_seconds=30),
            )
        )
        if verdict.outcome is not Outcome.passed:
            failed[record["task_id"]] = f"{verdict.outcome.value}: {verdict.error}"
    assert len(lines) == 974
    assert failed == {}


def test_apps_solutions_pass(docker_sandbox):
    problems = list(read_source(data("apps_sample"), FORMATS["apps"]))
    assert len(problems) == 5
    for problem in problems:
        verdict = docker_sandbox.run(Job.for_program(problem, problem.program))
        assert verdict.outcome is Outcome.passed, (problem.id, verdict.error)
        assert verdict.trusted_tests
