"""`stepcoder data judge`: from an answer and a problem to what is cut and the verdict."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from deploy.cli import main

ANSWER = "So:\n```python\ndef f(x):\n    return [math.isqrt(x), x]\n\nprint(f(1))\n```\n"
PROBLEM = {
    "id": "mine/1", "question": "q", "solution": "", "fn_name": "f", "preamble": "import math\n",
    "tests": [{"input": [4], "output": {"$tuple": [2, 4]}}, {"input": [9], "output": [1, 9]}],
}  # fmt: skip


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """The command on a file of two problems and an answer to the first."""
    problems = [PROBLEM, {**PROBLEM, "id": "mine/2", "comparison": "exact"}]
    file, answer = tmp_path / "problems.jsonl", tmp_path / "answer.txt"
    file.write_text("".join(f"{json.dumps(problem)}\n" for problem in problems))
    answer.write_text(ANSWER)
    return ["data", "judge", str(file), "mine/1", str(answer), "--backend", "process"]


def test_cuts_program_and_every_test_are_printed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:9] == [
        "-----8<----- cut: begin, end, rule, text",
        "0 4 prose: 'So:\\n'",
        "4 14 fence: '```python\\n'",
        "54 67 driver: '\\nprint(f(1))\\n'",
        "67 71 fence: '```\\n'",
        "-----8<----- program: bytes 14 to 54 of 71 of the completion",
        "   1 + import math",
        "   2 + def f(x):",
        "   3 +     return [math.isqrt(x), x]",
    ]
    assert [line.split(None, 1) for line in lines[11:18]] == [
        ["test", "1  passed"],
        ["input", "[4]"],
        ["expected", "(2, 4)"],
        ["test", "2  failed    expected [1, 9], got [3, 9]"],
        ["input", "[9]"],
        ["expected", "[1, 9]"],
        ["got", "[3, 9]"],
    ]
    assert lines[18] == "failed  1 of 2 tests passed"


def test_as_json_from_stdin_by_the_comparison_of_the_problem(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ANSWER.encode())))
    arguments[3:5] = ["mine/2", "-"]
    assert main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["problem"] == "mine/2"
    assert [cut["rule"] for cut in found["answer"]["cuts"]] == ["prose", "fence", "driver", "fence"]
    first, second = found["verdict"]["tests"]
    assert (first["outcome"], first["output"]) == ("failed", "[2, 4]")
    assert (first["input"], first["expected"]) == ([4], {"$tuple": [2, 4]})
    assert second["expected"] == [1, 9]


def test_the_answer_continues_what_the_prompt_gives(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """To a base model starter code is the beginning of the answer, to a chat model it is not."""
    starter = "def f(x):\n"
    problem = {**PROBLEM, "starter_code": starter, "solution": f"{starter}    return 2, x\n"}
    Path(arguments[2]).write_text(json.dumps({**problem, "tests": problem["tests"][:1]}))
    Path(arguments[4]).write_text("\n    return [2, 4]\n")
    assert main(arguments) == 0, capsys.readouterr().out
    assert main([*arguments, "--prompt.style", "chat"]) == 1
    assert "compile_error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (3, "mini/1", "no problem 'mini/1' in it; its ids are like 'mine/1'"),
        (4, "/nowhere/answer.txt", "/nowhere/answer.txt: No such file or directory"),
        (6, "podman", 'Choose from: "auto", "docker", "process"'),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str],
    position: int,
    value: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments[position] = value
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_options_of_the_sandbox_stand_for_its_keys(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    absent = "a_package_that_is_not_there"
    for given in (["--packages", absent], [f"--sandbox.packages={absent}"]):
        assert main([*arguments, *given]) == 1
        assert absent in capsys.readouterr().err
    assert main([*arguments, "--packages", "contest", "pandas"]) == 2
    assert "contest is a set and stands alone" in capsys.readouterr().err
