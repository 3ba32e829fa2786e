"""`stepcoder sandbox run`: verdicts for people and programs, and refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curriculum.problem import Problem, Test
from deploy.cli import main
from deploy.commands.sandbox.tests_file import read_tests
from deploy.commands.sandbox.verdict_view import print_verdict
from sandbox import Job, Outcome, Sandbox, SandboxConfig, Verdict

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


CHECKER = (
    "import sys\ngiven, _, printed = (open(path).read() for path in sys.argv[1:])\n"
    "print('yes' if sum(map(int, printed.split())) == int(given) else 'no')\n"
)
TUPLE = {"input": [5], "output": {"$tuple": [1, 2]}}
OF_A_PROBLEM = {
    "exact": ({"fn_name": "f", "comparison": "exact", "tests": [{"input": [5], "output": [1, 2]}]},
              "def f(x): return 1, 2"),
    "tuple": ({"fn_name": "f", "comparison": "exact", "tests": [TUPLE]}, "def f(x): return [1, 2]"),
    "in place": ({"fn_name": "f", "result_argument": 0,
                  "tests": [{"input": [[1, 2]], "output": [2, 1]}]},
                 "def f(xs): return xs[::-1]"),
    "checker": ({"tests": [{"input": "5", "output": "2 3"}], "checker": {"source": CHECKER}},
                "print(5, 3)"),
}  # fmt: skip
"""By what a problem says of its tests: such a problem, and a program that fails only for that."""


@pytest.mark.parametrize("name", OF_A_PROBLEM)
def test_what_a_problem_says_of_its_tests_decides(write, capsys, name) -> None:
    fields, source = OF_A_PROBLEM[name]
    assert main(write(fields, source)) == 1
    whole = {"id": "p", "question": "q", "solution": "", **fields}
    assert main([*write(whole, source), "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "failed"


def test_the_job_of_a_problem_is_that_of_training(write, monkeypatch) -> None:
    jobs: list[Job] = []

    def run(_: Sandbox, job: Job) -> Verdict:
        jobs.append(job)
        return Verdict("", Outcome.passed, ())

    monkeypatch.setattr(Sandbox, "run", run)
    fields = {
        "preamble": "import math\n",
        "time_limit": 0.5,
        "tests": [{"input": "", "output": ""}],
    }
    arguments = write(fields, "print()")
    assert main(arguments) == 0
    problem = Problem(id="p", question="", solution="", **fields)
    assert jobs == [Job.for_program(problem, "import math\nprint()", id=arguments[2])]


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"fn_name": "f", "comparison": "exact", "tests": [TUPLE]}, "def f(x): return 1, 2"),
        ({"comparison": "exact", "tests": [TUPLE]}, "def f(x): return 1, 2"),
        ({"fn_name": "f", "tests": [TUPLE]}, "def f(x): return 1, 2"),
        ({"fn_name": "f", "preamble": "import math\n", "tests": [{"input": [4], "output": 2}]},
         "def f(x): return math.isqrt(x)"),
        ({"tests": [{"input": "5", "output": "2 3"}], "checker": {"source": CHECKER}},
         "print(1, 4)"),
        ({"fn_name": "f", "comparison": "unordered", "tests": [{"input": [], "output": [1, 2]}]},
         "def f(): return [2, 1]"),
        ({"task_id": 3, "text": "q", "code": "def f(x): return x, x", "test_list":
          ["assert f(1) == (1, 1)"]}, "def f(x): return x, x"),
    ],
)  # fmt: skip
def test_a_problem_is_judged_as_it_says(write, capsys, fields, source) -> None:
    named = [] if "fn_name" in fields or "checker" in fields or "code" in fields else ["--fn", "f"]
    assert main([*write(fields, source), *named]) == 0, capsys.readouterr().out


def test_of_several_problems_one_is_named(write, capsys) -> None:
    problems = [
        {"id": f"mine/{n}", "question": "q", "solution": "", "fn_name": "f",
         "tests": [{"input": [5], "output": n}]} for n in (10, 11)
    ]  # fmt: skip
    for text in (json.dumps(problems), "".join(f"{json.dumps(p)}\n" for p in problems)):
        arguments = write(text)
        assert main(arguments) == 2
        said = "tests.json: holds several problems; name one by its id, such as --problem mine/10"
        assert said in capsys.readouterr().err
        assert main([*arguments, "--problem", "mine/10"]) == 0
        assert main([*arguments, "--problem", "mine/11"]) == 1
        assert main([*arguments, "--problem", "mini/10"]) == 2
        assert "no problem 'mini/10' in it; its ids are like 'mine/10'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({"fn_name": "f", "compare": "exact"}, [], "compare: unknown field; did you mean"),
        ({"fn_name": "f", "result_argument": "x"}, [], "result_argument: must be a whole number"),
        ({"fn_name": "f", "tests": [{"input": [], "output": {"$list": [1]}}]}, [],
         "$list is unknown"),
        ({"tests": [{"input": "", "output": ""}], "checker": {"source": "x"}},
         ["--compare", "exact"], "the problem has a checker, which decides instead"),
    ],
)  # fmt: skip
def test_a_problem_that_is_wrong_is_refused(write, capsys, fields, arguments, message) -> None:
    tests = {"tests": [{"input": [5], "output": 10}], **fields}
    assert main([*write(tests), *arguments]) == 2
    assert message in capsys.readouterr().err


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
