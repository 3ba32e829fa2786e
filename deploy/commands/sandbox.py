"""`stepcoder sandbox`: one program on its tests, told to a person or a program; the benchmark."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curriculum.problem import Test
from deploy.config import ConfigError
from sandbox import Assertions, Job, Limits, Outcome, Sandbox, SandboxConfig, TestOutcome, Verdict
from sandbox.judging.coverage import executed_lines

SHAPES = (
    'a list of {"input", "output", "kwargs"?}, or {"fn_name"?, "tests": [such a list]}, '
    'or {"fn_name"?, "inputs": [...], "outputs": [...]}, '
    'or {"test_list": ["assert ...", ...], "test_setup_code"?}, or {"test", "entry_point"}'
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_STYLES = {
    TestOutcome.passed: "green",
    TestOutcome.not_run: "dim",
}


class TestFile(NamedTuple):
    """What a file of tests says."""

    __test__ = False

    fn_name: str | None
    tests: tuple[Test, ...] = ()
    assertions: Assertions | None = None


def run_program(
    program: Path,
    tests: Path,
    *,
    fn_name: str | None = None,
    as_json: bool = False,
    config: SandboxConfig | None = None,
    console: Console | None = None,
) -> int:
    """Run the program in `program` on the tests in `tests`, and print the verdict.

    `fn_name` overrides the file's. Returns the exit status: 0 if every test passed, else 1.

    Raises:
        ConfigError: a file is missing, or holds no tests or no valid ones; names file and test.
        SandboxError: no sandbox can be started here; the message holds the remedy.
    """
    source = _read(program)
    found = read_tests(tests)
    name = None if found.assertions else fn_name or found.fn_name
    with Sandbox(config or SandboxConfig(), run="command") as sandbox:
        try:
            job = Job(
                id=str(program),
                source=source,
                fn_name=name,
                tests=found.tests,
                assertions=found.assertions,
            )
            verdict = sandbox.run(job)
        except ValueError as error:
            raise ConfigError(f"{tests}: {error}") from None
    if as_json:
        print(json.dumps(as_record(verdict)))
    else:
        print_verdict(verdict, source, console or Console(highlight=False))
    return 0 if verdict.outcome is Outcome.passed else 1


def run_bench(rounds: int, soak: int | None, quick: bool, folder: Path) -> int:
    """Measure the sandbox, or with `soak` only run so many programs while containers are killed.

    Returns the exit status: 0 if every figure reached its target, else 1.

    Raises:
        SandboxError: no Docker engine answers.
    """
    from deploy.bench import sandbox, sandbox_soak
    from deploy.bench.record import run_benchmark

    if soak is not None:
        return run_benchmark("sandbox-soak", sandbox_soak.measure(soak), folder)
    if quick:
        return run_benchmark("sandbox-quick", sandbox.measure(2, 500), folder)
    figures = sandbox.measure(rounds, sandbox_soak.SHORT_SOAK_PROGRAMS)
    return run_benchmark("sandbox", figures, folder)


def read_tests(path: Path) -> TestFile:
    """The tests in a JSON file, in one of the shapes in `SHAPES`.

    Raises ConfigError, naming file and test, for anything else, and for a test without output.
    """
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    fn_name, records = None, content
    if isinstance(content, dict) and {"test_list", "entry_point"} & content.keys():
        return TestFile(None, assertions=_assertions(path, content))
    if isinstance(content, dict):
        fn_name = content.get("fn_name")
        records = _paired(path, content) if "inputs" in content else content.get("tests")
    if not isinstance(records, list) or not isinstance(fn_name, str | None):
        raise ConfigError(f"{path}: not tests; they are {SHAPES}")
    if not records:
        raise ConfigError(f"{path}: no tests in it; a program without tests has no verdict")
    return TestFile(fn_name, tuple(_test(path, i, record) for i, record in enumerate(records)))


def _assertions(path: Path, content: dict[str, Any]) -> Assertions:
    """Assertions as MBPP (`test_list`) or HumanEval (`test`, `entry_point`) has them."""
    try:
        if "entry_point" in content:
            return Assertions.of_check(content.get("test", ""), content["entry_point"])
        setup = content.get("test_setup_code", "")
        return Assertions(statements=content["test_list"], setup=setup)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{path}: {first['msg']}") from None


def _paired(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    inputs, outputs = content["inputs"], content.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise ConfigError(f"{path}: `inputs` and `outputs` must both be lists")
    if len(inputs) != len(outputs):
        raise ConfigError(f"{path}: {len(inputs)} inputs but {len(outputs)} outputs")
    return [{"input": given, "output": out} for given, out in zip(inputs, outputs, strict=True)]


def _test(path: Path, index: int, record: Any) -> Test:
    try:
        return Test.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "test"
        raise ConfigError(f"{path}: tests[{index}].{field}: {first['msg']}") from None


def _read(path: Path) -> str:
    try:
        # Not read_text, which would translate line ends: positions count bytes.
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def as_record(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain data for JSON, statements as objects with their names."""
    record = dataclasses.asdict(verdict)
    record["statements"] = [statement._asdict() for statement in verdict.statements]
    return record


def print_verdict(verdict: Verdict, source: str, console: Console) -> None:
    """The source with a mark per line, a line per test, the outcome and the times."""
    if verdict.statements:
        console.print(_marked(verdict, source), soft_wrap=True)
        console.print("+ executed   - not executed   ~ in part", style="dim")
    table = Table(box=None, pad_edge=False, show_header=False)
    for index, test in enumerate(verdict.tests, 1):
        where = f" (line {test.line})" if test.line else ""
        outcome = Text(test.outcome.value, style=_STYLES.get(test.outcome, "red"))
        table.add_row(f"test {index}", outcome, Text(_shown(test.message) + where))
    console.print(table)
    passed = sum(test.outcome is TestOutcome.passed for test in verdict.tests)
    good = verdict.outcome is Outcome.passed
    line = Text(verdict.outcome.value, style="bold green" if good else "bold red")
    line.append(f"  {passed} of {len(verdict.tests)} tests passed", style="default")
    console.print(line)
    if verdict.outcome in (Outcome.compile_error, Outcome.infra_error):
        where = f" (line {verdict.error_line})" if verdict.error_line else ""
        console.print(Text(_shown(verdict.error or "") + where))
    console.print(
        f"{verdict.wall_seconds * 1e3:.1f} ms wall, {verdict.cpu_seconds * 1e3:.1f} ms CPU, "
        f"isolation: {verdict.isolation}"
    )
    if not verdict.trusted_tests:
        console.print("the tests are code that ran beside the program: it could forge this verdict")
    if verdict.coverage_tampered:
        console.print("the program reached for the tracer: don't trust its marks", style="yellow")


def _marked(verdict: Verdict, source: str) -> Text:
    executed = set(verdict.executed_lines)
    others = [one._replace(executed=not one.executed) for one in verdict.statements]
    missed = set(executed_lines(source.encode(), others))
    text = Text()
    for number, line in enumerate(_LINE_BREAK.split(source.removesuffix("\n")), 1):
        mark, style = " ", ""
        if number in executed:
            mark, style = ("~", "yellow") if number in missed else ("+", "green")
        elif number in missed:
            mark, style = "-", "red"
        text.append(f"{number:4} {mark} ", style=style or "dim")
        text.append(f"{_shown(line)}\n", style="dim" if mark == "-" else "")
    return text


def _shown(text: str) -> str:
    """The text without what would steer a terminal: the program is not to be trusted."""
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)


def limits_config(backend: str, seconds: float | None) -> SandboxConfig:
    """The configuration for a backend's name and a time limit [seconds] (None: the default).

    Raises ConfigError for values that no sandbox takes.
    """
    try:
        limits = Limits() if seconds is None else Limits(wall_seconds=seconds)
        return SandboxConfig(backend=backend, limits=limits)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
