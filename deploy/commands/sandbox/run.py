"""`stepcoder sandbox run`: one program on its tests, or on those of a problem."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.console import Console

from curriculum.errors import first_fault
from curriculum.problem import Comparison, Problem, Test, function_name
from deploy.commands.limit_options import LimitOptions
from deploy.commands.sandbox.tests_file import TestFile, read_tests, read_text
from deploy.commands.sandbox.verdict_view import as_record, print_verdict
from deploy.errors import ConfigError
from sandbox import Job, Outcome, Sandbox

Backend = Literal["auto", "docker", "process"]

app = App(
    name="run",
    help_epilogue="""\
Examples:
  stepcoder sandbox run program.py --tests tests.json --fn solve
  stepcoder sandbox run program.py --tests problems.jsonl \\
      --problem mbpp/1
  stepcoder sandbox run program.py --tests tests.json --json
  stepcoder sandbox run program.py --tests tests.json \\
      --wall-seconds 30 --memory-mib 512""",
)


@app.default
def run(
    program: Annotated[Path, Parameter(help="The program, a Python file.")],
    /,
    *,
    tests: Annotated[
        Path, Parameter(help="Its tests in JSON, a problem, or a file of problems of any form.")
    ],
    problem: Annotated[
        str | None, Parameter(help="Id of the problem, where the file holds several.")
    ] = None,
    fn_name: Annotated[
        str | None, Parameter("--fn", help="Function to call; without it stdin to stdout.")
    ] = None,
    compare: Annotated[
        Comparison | None,
        Parameter(
            help="How outputs are compared; by default as the problem says, apps for APPS' form of "
            "tests, else close."
        ),
    ] = None,
    as_json: Annotated[bool, Parameter("--json", help="Print the verdict as JSON.")] = False,
    backend: Annotated[Backend, Parameter(help="Where the program runs.")] = "auto",
    limits: LimitOptions | None = None,
) -> int:
    """Run a program on its tests; print the verdict and the executed lines.

    A problem is judged as in training and evaluation: behind its preamble, by its comparison or
    checker, within its time limit. The exit status is 0 if every test passed, else 1.
    """
    config = (limits or LimitOptions()).config(backend)
    source = read_text(program)
    try:
        fn_name = None if fn_name is None else function_name(fn_name)
    except ValueError as error:
        raise ConfigError(f"--fn: {error}") from None
    given = read_tests(tests, problem, fn_name)
    if isinstance(given, Problem):
        job = _job_of_problem(_changed(given, fn_name, compare), str(program), source)
    else:
        job = _job_of_tests(given, tests, str(program), source, fn_name, compare)
    with Sandbox(config, run="command") as sandbox:
        try:
            verdict = sandbox.run(job)
        except ValueError as error:
            raise ConfigError(f"{tests}: {error}") from None
    if as_json:
        print(json.dumps(as_record(verdict)))
    else:
        print_verdict(verdict, job.source, Console(highlight=False))
    return 0 if verdict.outcome is Outcome.passed else 1


def _changed(problem: Problem, fn_name: str | None, compare: Comparison | None) -> Problem:
    """The problem with the function and the comparison of the command line, where it has any."""
    if compare is not None and problem.checker is not None:
        raise ConfigError(f"--compare {compare}: the problem has a checker, which decides instead")
    given = {"fn_name": fn_name, "comparison": compare}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return problem
    try:
        return Problem.model_validate({**dict(problem), **changes})
    except ValidationError as error:
        raise ConfigError(f"--fn {fn_name}: {first_fault(error)[1]}") from None


def _job_of_problem(problem: Problem, name: str, source: str) -> Job:
    return Job.for_program(problem, problem.program_of(source), id=name)


def _job_of_tests(
    given: TestFile,
    path: Path,
    name: str,
    source: str,
    fn_name: str | None,
    compare: Comparison | None,
) -> Job:
    fn_name = None if given.assertions else fn_name or given.fn_name
    try:
        fn_name = None if fn_name is None else function_name(fn_name)
    except ValueError as error:
        raise ConfigError(f"fn_name in {path}: {error}") from None
    if fn_name is None:
        _refuse_arguments(path, given.tests)
    return Job(
        id=name,
        source=source,
        fn_name=fn_name,
        tests=given.tests,
        assertions=given.assertions,
        comparison=compare or given.comparison,
    )


def _refuse_arguments(path: Path, tests: Sequence[Test]) -> None:
    """Refuse lists of arguments where no function is named; a list of lines is text for stdin."""
    for index, test in enumerate(tests):
        if isinstance(test.input, list) and not all(isinstance(line, str) for line in test.input):
            raise ConfigError(
                f"{path}: tests[{index}].input is a list of arguments; give --fn NAME, the "
                f"function to call"
            )
