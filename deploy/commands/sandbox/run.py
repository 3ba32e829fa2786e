"""`stepcoder sandbox run`: one program on its tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console

from curriculum.problem import Comparison, Test, function_name
from deploy.commands.limit_options import LimitOptions
from deploy.commands.sandbox.tests_file import read_tests, read_text
from deploy.commands.sandbox.verdict_view import as_record, print_verdict
from deploy.errors import ConfigError
from sandbox import Job, Outcome, Sandbox

Backend = Literal["auto", "docker", "process"]

app = App(
    name="run",
    help_epilogue="""\
Examples:
  stepcoder sandbox run program.py --tests tests.json --fn solve
  stepcoder sandbox run program.py --tests tests.json --json
  stepcoder sandbox run program.py --tests tests.json \\
      --wall-seconds 30 --memory-mib 512""",
)


@app.default
def run(
    program: Annotated[Path, Parameter(help="The program, a Python file.")],
    /,
    *,
    tests: Annotated[Path, Parameter(help="Its tests, in JSON.")],
    fn_name: Annotated[
        str | None, Parameter("--fn", help="Function to call; without it stdin to stdout.")
    ] = None,
    compare: Annotated[
        Comparison | None,
        Parameter(help="How outputs are compared; apps for APPS' form of tests, else close."),
    ] = None,
    as_json: Annotated[bool, Parameter("--json", help="Print the verdict as JSON.")] = False,
    backend: Annotated[Backend, Parameter(help="Where the program runs.")] = "auto",
    limits: LimitOptions | None = None,
) -> int:
    """Run a program on its tests; print the verdict and the executed lines.

    The exit status is 0 if every test passed, else 1.
    """
    config = (limits or LimitOptions()).config(backend)
    source, test_file = read_text(program), read_tests(tests)
    fn_name = None if test_file.assertions else fn_name or test_file.fn_name
    try:
        fn_name = None if fn_name is None else function_name(fn_name)
    except ValueError as error:
        raise ConfigError(f"--fn, or fn_name in {tests}: {error}") from None
    if fn_name is None:
        _refuse_arguments(tests, test_file.tests)
    with Sandbox(config, run="command") as sandbox:
        try:
            job = Job(
                id=str(program),
                source=source,
                fn_name=fn_name,
                tests=test_file.tests,
                assertions=test_file.assertions,
                comparison=compare or test_file.comparison,
            )
            verdict = sandbox.run(job)
        except ValueError as error:
            raise ConfigError(f"{tests}: {error}") from None
    if as_json:
        print(json.dumps(as_record(verdict)))
    else:
        print_verdict(verdict, source, Console(highlight=False))
    return 0 if verdict.outcome is Outcome.passed else 1


def _refuse_arguments(path: Path, tests: Sequence[Test]) -> None:
    """Refuse lists of arguments where no function is named; a list of lines is text for stdin."""
    for index, test in enumerate(tests):
        if isinstance(test.input, list) and not all(isinstance(line, str) for line in test.input):
            raise ConfigError(
                f"{path}: tests[{index}].input is a list of arguments; give --fn NAME, the "
                f"function to call"
            )
