"""`stepcoder sandbox run`: verdicts for people and programs, and refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curriculum.problem import Test
from deploy.cli import main
from deploy.commands.sandbox.tests_file import read_tests
from deploy.commands.sandbox.verdict_view import print_verdict
from sandbox import Job, Sandbox, SandboxConfig

SOURCE = "def f(x):\n    if x > 3:\n        return 2 * x\n    # never\n    y = 0; return y\n"
PROCESS = ["--backend", "process"]


@pytest.fixture
def write(tmp_path: Path):
    def write(tests: Any, source: str = SOURCE) -> list[str]:
        (tmp_path / "program.py").write_bytes(source.encode())
        text = tests if isinstance(tests, str) else json.dumps(tests)
        (tmp_path / "tests.json").write_text(text)
        program, file = str(tmp_path / "program.py"), str(tmp_path / "tests.json")
        return ["sandbox", "run", program, "--tests", file, *PROCESS]

    return write


def test_the_verdict_shows_marked_source_tests_and_times(write, capsys) -> None:
    tests = [{"input": [5], "output": 10}, {"input": [4], "output": 9}]
    assert main([*write(tests), "--fn", "f"]) == 1
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[:5] == [
        "   1 + def f(x):",
        "   2 +     if x > 3:",
        "   3 +         return 2 * x",
        "   4       # never",
        "   5 -     y = 0; return y",
    ]
    assert "test 1  passed" in printed
    assert "test 2  failed  expected 9, got 8" in printed
    assert "failed  1 of 2 tests passed" in printed
    assert "ms wall" in printed


def test_a_function_may_be_named_by_its_call(write, capsys) -> None:
    tests = {"fn_name": "Solution().f", "tests": [{"input": [5], "output": 10}]}
    assert main(write(tests)) == 0
    assert main([*write(tests), "--fn", "f()"]) == 0
    capsys.readouterr()
    assert main([*write(tests), "--fn", "two max"]) == 2
    assert "'two max' is no name of a function" in capsys.readouterr().err


def test_a_missing_library_is_named_with_the_option_that_adds_it(write, capsys) -> None:
    source = "import a_library_that_is_not_there\n"
    assert main(write([{"input": "", "output": ""}], source)) == 1
    said = "the sandbox has no a_library_that_is_not_there; --packages NAME adds a package\n"
    assert said in capsys.readouterr().out


def test_a_partly_executed_line_has_a_mark_of_its_own(write, capsys) -> None:
    source = "def f(x):\n    if x: return 1\n    return 0\n"
    assert main([*write([{"input": [0], "output": 0}], source), "--fn", "f"]) == 0
    assert "   2 ~     if x: return 1" in capsys.readouterr().out


def test_marks_follow_the_lines_python_counts() -> None:
    source = "x = 1\rif x: y = '\u2028'\rz = 3\r"
    job = Job(id="t", source=source, fn_name=None, tests=(Test(input="", output=""),))
    with Sandbox(SandboxConfig(backend="process")) as sandbox:
        verdict = sandbox.run(job)
    out = io.StringIO()
    print_verdict(verdict, source, Console(file=out, width=100))
    assert "   3 + z = 3" in out.getvalue()


def test_a_program_cannot_steer_the_terminal(write, capsys) -> None:
    source = "def f():\n    raise ValueError('\x1b[2J' + chr(27))\n"
    assert main([*write([{"input": [], "output": 1}], source), "--fn", "f"]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_json_holds_the_whole_verdict(write, capsys) -> None:
    tests = {"fn_name": "f", "tests": [{"input": [5], "output": 10}]}
    assert main([*write(tests), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["outcome"] == "passed"
    assert verdict["executed_lines"] == [1, 2, 3]
    assert verdict["tests"] == [{"outcome": "passed", "message": "", "line": None, "output": None}]
    assert verdict["statements"][0] == {"start": 0, "end": 9, "executed": True}


@pytest.mark.parametrize(
    ("tests", "source"),
    [
        ({"inputs": ["1\n2\n"], "outputs": ["3\n"]}, "print(int(input()) + int(input()))"),
        ({"inputs": [["1", "2"]], "outputs": [["3"]]}, "print(int(input()) + int(input()))"),
        ({"inputs": [[1, 2]], "outputs": [[3]], "fn_name": "f"}, "def f(a, b): return a + b"),
        ([{"input": "4", "output": "4"}], "print(input())"),
        ({"fn_name": "f", "tests": [{"input": [1], "kwargs": {"b": 2}, "output": 3}]},
         "class Solution:\n    def f(self, a, b): return a + b"),
    ],
)  # fmt: skip
def test_every_shape_of_tests_is_read(write, capsys, tests, source) -> None:
    assert main(write(tests, source)) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "tests",
    [
        {"test_list": ["assert f(5) == r"], "test_setup_code": "r = 10"},
        {"test": "def check(candidate):\n    assert candidate(5) == 10\n", "entry_point": "f"},
    ],
)
def test_assertions_run_and_their_verdict_is_called_forgeable(write, capsys, tests) -> None:
    assert main(write(tests)) == 0
    assert "it could forge this verdict" in capsys.readouterr().out


def test_a_compile_error_shows_its_line(write, capsys) -> None:
    assert main(write([{"input": "", "output": ""}], "x = 1\nx = (\n")) == 1
    printed = capsys.readouterr().out
    assert "compile_error  0 of 1 tests passed" in printed
    assert "SyntaxError: '(' was never closed (line 2)" in printed


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([], "no tests in it"),
        ({"inputs": [], "outputs": []}, "no tests in it"),
        ({"inputs": ["1"], "outputs": []}, "1 inputs but 0 outputs"),
        ({"inputs": ["1"]}, "`inputs` and `outputs` must both be lists"),
        ([{"input": "1", "output": "1"}, {"input": "1"}], "tests[1].output: missing"),
        ([3], "tests[0]: must be a JSON object"),
        ({"tests": None}, "not tests; expected"),
        (3, "not tests; expected"),
        ("{", "not JSON"),
        ({"test_list": []}, "at least 1 item"),
        ({"test_list": ["assert ("]}, "statement 0 is not Python"),
        ([{"input": ["1", 2], "output": 3}], "tests[0].input is a list of arguments; give --fn"),
        ([{"input": 3, "output": ""}], "tests[0].input must be text for stdin"),
    ],
)
def test_bad_tests_are_one_message_and_status_2(write, capsys, tests, message) -> None:
    assert main(write(tests)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("stepcoder: ")
    assert "tests.json" in printed
    assert message in printed
    assert "Traceback" not in printed


def test_a_missing_file_is_named(write, capsys, tmp_path) -> None:
    arguments = write([{"input": "", "output": ""}])
    arguments[2] = str(tmp_path / "absent.py")
    assert main(arguments) == 2
    assert "absent.py: No such file or directory" in capsys.readouterr().err
    (tmp_path / "tests.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"tests\.json"):
        read_tests(tmp_path / "tests.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wall-seconds", "-1"], "--wall-seconds: must be greater than 0"),
        (["--wall-seconds", "4000"], "--wall-seconds: must be at most 3600"),
        (["--cpu-seconds", "0"], "--cpu-seconds: must be greater than 0"),
        (["--memory-mib", "1"], "--memory-mib: must be at least 16"),
        (["--output-kib", "0"], "--output-kib: must be greater than 0"),
        (["--backend", "podman"], 'Choose from: "auto", "docker", "process"'),
    ],
)
def test_limits_that_no_sandbox_takes_are_refused(write, capsys, arguments, message) -> None:
    assert main([*write([{"input": "", "output": ""}]), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_program_may_use_more_processor_time_than_the_default(write) -> None:
    """The limit on processor time follows `--wall-seconds` unless it is given."""
    program = (
        "import time\nn = int(input())\nbegin = time.process_time()\n"
        "while time.process_time() - begin < n:\n    pass\nprint(n)\n"
    )
    arguments = write([{"input": "2\n", "output": "2\n"}], program)
    assert main([*arguments, "--wall-seconds", "60", "--cpu-seconds", "1"]) == 1
    assert main([*arguments, "--wall-seconds", "60"]) == 0
