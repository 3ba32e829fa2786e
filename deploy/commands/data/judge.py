"""`stepcoder data judge`: the verdict on an answer to a problem, as training reaches it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console

from curriculum.answer.assemble import assemble
from curriculum.datasets.json_values import to_json
from curriculum.problem import Problem, Test
from curriculum.prompt import Prompt
from curriculum.prompts.render import PromptRenderer
from curriculum.subtask import FULL_TASK, cut
from deploy.commands.configuration import Configuration, takes_configuration
from deploy.commands.data.answer import MARK, print_cuts, program_record, read_text, stretch
from deploy.commands.data.prompt import load
from deploy.commands.data.source import Selection, SourcePath, find_problem
from deploy.commands.sandbox.verdict_view import as_record, print_verdict
from deploy.config import RunConfig
from deploy.errors import ConfigError
from sandbox import Job, Outcome, Sandbox, Verdict

app = App(
    name="judge",
    help_epilogue="""\
Examples:
  stepcoder data judge problems.jsonl mbpp/1 answer.txt
  stepcoder data judge problems.jsonl mbpp/1 answer.txt \\
      --packages numpy --json
  stepcoder data judge problems.jsonl mbpp/1 - \\
      --config runs/hot/config.yaml < answer.txt""",
)


@app.default
@takes_configuration("prompt", "answer", "sandbox", "model.path", "model.trust_remote_code")
def judge(
    configuration: Configuration,
    source: SourcePath,
    problem_id: Annotated[str, Parameter(help="The problem's id, as `convert` writes it.")],
    answer: Annotated[
        Path, Parameter(help="What the model wrote; `-` reads stdin.", allow_leading_hyphen=True)
    ],
    /,
    *,
    packages: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            help="Packages to import: `sandbox.packages`, a set, or names from PyPI.",
        ),
    ] = None,
    backend: Annotated[
        Literal["auto", "docker", "process"] | None,
        Parameter(help="Where the program runs: `sandbox.backend`."),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        Parameter(help="Hugging Face folder, to make the prompt with; `model.path` by default."),
    ] = None,
    in_reasoning: Annotated[
        bool, Parameter(negative="", help="The prompt left a reasoning block open.")
    ] = False,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object.")
    ] = False,
    selection: Selection | None = None,
) -> int:
    """Find the program in an answer as training does, and run it on the problem's tests.

    Prints what is cut from the answer by which rule, the program with its executed lines, and of
    each test the input, what is expected and what came. The exit status is 0 if every test passed,
    else 1.
    """
    config, folder = load(_with_sandbox(configuration, packages, backend), tokenizer)
    text = read_text(answer)
    problem = find_problem(selection or Selection(), source, problem_id)
    prompt = prompt_of(problem, config, folder)
    prompt = replace(prompt, in_reasoning=prompt.in_reasoning or in_reasoning)
    program = assemble(problem, prompt, text, config.answer)
    job = Job.for_program(problem, program.source)
    with Sandbox(config.sandbox, run="command") as sandbox:
        try:
            verdict = sandbox.run(job)
        except ValueError as error:
            raise ConfigError(f"{source}: problem {problem.id!r}: {error}") from None
    if json_output:
        found = {"problem": problem.id, "answer": program_record(program, text)}
        print(json.dumps({**found, "verdict": _record(verdict, job)}, ensure_ascii=False))
    else:
        print_cuts(program, text)
        print(f"{MARK} program: {stretch(program, text)}")
        if not verdict.statements:
            print(program.source, end="" if program.source.endswith("\n") else "\n")
        print_verdict(verdict, program.source, Console(highlight=False), job.cases)
    return 0 if verdict.outcome is Outcome.passed else 1


def prompt_of(problem: Problem, config: RunConfig, folder: Path | None) -> Prompt:
    """What the answer to a whole task continues; without a tokenizer its ids are empty.

    Raises:
        CurriculumError: the prompt cannot be made.
    """
    subtask = cut(problem, FULL_TASK, frozenset())
    if folder is not None:
        from deploy.checks.prompts import load_encoder

        return load_encoder(config, folder).encode(subtask)
    rendered = PromptRenderer(config.prompt).render(subtask)
    return Prompt((), rendered.prefix, rendered.in_code_fence)


def _with_sandbox(
    configuration: Configuration, packages: list[str] | None, backend: str | None
) -> Configuration:
    """The configuration with the options that stand for keys of the section `sandbox`."""
    overrides = dict(configuration.overrides)
    if packages:
        named = packages[0] if len(packages) == 1 else packages
        overrides["sandbox.packages"] = json.dumps(named)
    if backend is not None:
        overrides["sandbox.backend"] = backend
    return replace(configuration, overrides=overrides)


def _record(verdict: Verdict, job: Job) -> dict[str, Any]:
    """The verdict as plain data, each test with its input and what is expected."""
    tests = [
        {**_case(case), **asdict(result)}
        for case, result in zip(job.cases, verdict.tests, strict=True)
    ]
    return {**as_record(verdict), "tests": tests}


def _case(case: Test | str) -> dict[str, Any]:
    if isinstance(case, str):
        return {"assertion": case}
    return {
        "input": to_json(case.input),
        "kwargs": to_json(case.kwargs),
        "expected": to_json(case.output),
    }
