"""`stepcoder data answer`: the program that is found, its offsets, and each cut with its rule."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig
from curriculum.problem import Problem, Test
from curriculum.prompt import Prompt
from deploy.cli import main
from deploy.commands.data.answer import find_fault

COMPLETION = "Zuerst:\n```python\ndef f(x):\n    return x + 1\n\nprint(f(1))\n```\nDanach: ü\n"


@pytest.fixture
def completion(tmp_path: Path) -> str:
    path = tmp_path / "completion.txt"
    path.write_text(COMPLETION)
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["data", "answer", *arguments]) == 0
    return capsys.readouterr().out


def test_program_offsets_and_cuts_are_printed(
    completion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, completion, "--fn", "f") == (
        "-----8<----- program: bytes 18 to 45 of 73 of the completion\n"
        "def f(x):\n    return x + 1\n"
        "-----8<----- cut: begin, end, rule, text\n"
        "0 8 prose: 'Zuerst:\\n'\n"
        "8 18 fence: '```python\\n'\n"
        "45 58 driver: '\\nprint(f(1))\\n'\n"
        "58 62 fence: '```\\n'\n"
        "62 73 prose: 'Danach: ü\\n'\n"
    )


def test_the_same_as_json_with_stdin_as_the_completion(
    completion: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(COMPLETION.encode())))
    found = json.loads(printed(capsys, "-", "--fn", "f", "--json"))
    assert found == json.loads(printed(capsys, completion, "--fn", "f", "--json"))
    data = COMPLETION.encode()
    assert found["program"].encode() == data[found["begin"] : found["end"]]
    assert [cut["rule"] for cut in found["cuts"]] == ["prose", "fence", "driver", "fence", "prose"]
    assert not found["unfinished"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("f", ""),
        ("g", "-----8<----- the program defines no function 'g': no call of it can succeed"),
    ],
)
def test_a_program_without_the_function_is_said_to_lack_it(
    completion: str, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, completion, "--fn", name).splitlines()
    assert ("defines no function" in lines[-1]) is bool(said)
    assert not said or lines[-1] == said
    found = json.loads(printed(capsys, completion, "--fn", name, "--json"))
    assert found["defines_function"] is not bool(said)
    assert json.loads(printed(capsys, completion, "--json"))["defines_function"] is None


@pytest.mark.parametrize(
    "code",
    ["class Solution:\n    def f(self): return 1\n", "from math import sqrt as f\n", "f = abs\n",
     "if True:\n    def f(): return 1\n"],
)  # fmt: skip
def test_every_way_to_define_a_function_counts(
    tmp_path: Path, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "answer.py").write_text(code)
    assert "defines no" not in printed(capsys, str(tmp_path / "answer.py"), "--fn", "f")


BEGUN = "def f(a, b):\n    return "
FAULTS = {
    f"Here:\n```python\n{BEGUN}max(a,": (
        "the program breaks off in line 2, within 'f': '(' was never closed (line 2)"
    ),
    f"{BEGUN}[a,": "the program breaks off in line 2, within 'f': '[' was never closed (line 2)",
    "```python\nimport os\n\n@once\ndef f(a, b):\n": (
        "the program breaks off in line 4, within 'f': "
        "expected an indented block after function definition on line 4 (line 4)"
    ),
    "```python\ndef f(a, b)\n    return a\n```\n": (
        "the program does not parse: expected ':' (line 1)"
    ),
    f"```python\n{BEGUN}a +* b\n```\n": (
        f"the program does not parse by Python {sys.version_info[0]}.{sys.version_info[1]}, "
        "which runs this command: invalid syntax (line 2)"
    ),
    "The larger of the two is right.\n": (
        "the answer has no Python block, and its text is no program: invalid syntax (line 1)"
    ),
    "Sure:\n```java\nint f() { return 1; }\n```\n": (
        "the answer has no Python block: its code is in another language"
    ),
    "<think>def f(a, b):": "the answer has no Python block: it ends within the reasoning",
    "```python\n```\n": "the answer's block is empty",
    " \n": "the answer is empty",
}


@pytest.mark.parametrize("text", FAULTS)
@pytest.mark.parametrize("fn_name", ["f", None])
def test_an_answer_whose_program_does_not_parse_is_said_to_break_off_where(
    text: str, fn_name: str | None
) -> None:
    test = Test(input=[], output=None) if fn_name else Test(input="", output="")
    problem = Problem(id="a", question="", solution="pass", fn_name=fn_name, tests=(test,))
    program = assemble(problem, Prompt((), "", False), text, AnswerConfig())
    assert find_fault(program, text) == FAULTS[text]


def test_a_function_that_breaks_off_is_not_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "completion.txt"
    path.write_text(text := next(iter(FAULTS)))
    said = printed(capsys, str(path), "--fn", "f")
    assert said.splitlines()[-1] == f"-----8<----- {FAULTS[text]}"
    assert "defines no function" not in said
    assert json.loads(printed(capsys, str(path), "--fn", "f", "--json"))["fault"] == FAULTS[text]


def test_given_code_stands_in_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prefix.py").write_text("def f(x):")
    (tmp_path / "rest.txt").write_text("\n    return x\n```\nDone.")
    given = ("--given", str(tmp_path / "prefix.py"), "--in-fence", "--json")
    found = json.loads(printed(capsys, str(tmp_path / "rest.txt"), "--fn", "f", *given))
    assert found["program"] == "def f(x):\n    return x\n"
    assert (found["begin"], found["end"], found["completion_start"]) == (0, 14, 9)


def test_the_block_and_the_reasoning_markers_are_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.txt"
    path.write_text("(x=1)\n```\nprint(1)\n```\n(end)\n```\nprint(2)\n```\n```\nprint(3)\n```\n")
    assert "\nprint(3)\n" in printed(capsys, str(path))
    assert "\nprint(1)\n" in printed(capsys, str(path), "--answer.block", "first")
    marked = printed(
        capsys, str(path), "--answer.block=first", '--answer.reasoning=[["(x", "(end)"]]'
    )
    assert "\nprint(2)\n" in marked.split("cut:")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "missing.txt: No such file or directory"),
        (["latin.txt"], "latin.txt: byte 1 is not UTF-8"),
        (["good.txt", '--answer.reasoning=[["", "x"]]'], "none of them blank"),
    ],
)
def test_what_cannot_be_read_is_one_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes(b"a\xe9")
    Path("good.txt").write_text("print(1)")
    assert main(["data", "answer", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_name_that_no_function_has_is_refused_in_a_line(
    completion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "answer", completion, "--fn", "two max"]) == 2
    assert "--fn: 'two max' is no name of a function" in capsys.readouterr().err


def test_an_answer_of_which_nothing_is_cut_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    completion = tmp_path / "completion.txt"
    completion.write_text("print(input())\n")
    assert main(["data", "answer", str(completion)]) == 0
    assert capsys.readouterr().out.endswith("print(input())\n-----8<----- nothing is cut\n")
