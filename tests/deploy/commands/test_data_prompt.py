"""`stepcoder data prompt` and the count of `data stats`: what the model will see of a problem."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from curriculum.datasets.problem_file import write_problems
from curriculum.problem import Problem, Test
from deploy.cli import main

SOLUTION = "def two_max(a, b):\n    if a > b:\n        return a\n    return b\n"


@pytest.fixture
def source(tmp_path: Path) -> str:
    problem = Problem(id="own/1", question="The larger one.", solution=SOLUTION, fn_name="two_max",
                      tests=(Test(input=[1, 2], output=2),))  # fmt: skip
    path = tmp_path / "problems.jsonl"
    write_problems(path, [problem])
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["data", "prompt", *arguments]) == 0
    return capsys.readouterr().out


PROMPT = '"""\nThe larger one.\nWrite a function `two_max(a, b)`.\nassert two_max(1, 2) == 2\n"""\n'


def test_the_prompt_is_printed_as_the_model_sees_it(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, source, "own/1") == (
        "own/1: whole task of 1 stages, style base, template plain, tokens: give --tokenizer\n"
        f"-----8<----- prompt\n{PROMPT}-----8<----- the policy writes from here\n"
    )
    assert printed(capsys, source, "own/1", "--stage", "0").endswith(
        f"{PROMPT}-----8<----- given code, a part of the prompt\ndef two_max(a, b):\n"
        "-----8<----- the policy writes from here\n"
    )


def test_fields_and_levels_are_mapped_as_in_the_other_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.json"
    record = {"id": 7, "task": {"text": "The larger one."}, "code": SOLUTION, "level": "EASY",
              "asserts": ["assert two_max(1, 2) == 2"]}  # fmt: skip
    path.write_text(json.dumps([record]))
    names = ("--map", "question=task.text", "solution=code", "tests=asserts", "difficulty=level")
    assert PROMPT in printed(capsys, str(path), "7", *names, "--tiers", "EASY=introductory")


def test_its_tokens_are_counted_with_a_tokenizer(
    source: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (source, "own/1", "--stage", "0", "--tokenizer", str(tiny_model))
    seen = json.loads(printed(capsys, *arguments, "--json"))
    assert seen["text"] == f"{PROMPT}def two_max(a, b):"
    assert AutoTokenizer.from_pretrained(tiny_model).decode(seen["ids"]) == seen["text"]
    assert seen["tokens"] == len(seen["ids"])
    assert seen["text"][seen["given_start"] :] == seen["given"] == "def two_max(a, b):"
    assert (seen["stage"], seen["stages"], seen["fits"]) == (0, 1, True)
    assert f"template plain, {seen['tokens']} tokens\n" in printed(capsys, *arguments)
    short = printed(capsys, *arguments, "--rollout.max_model_len", "70")
    room = "6 fit: rollout.max_model_len 70 less rollout.min_new_tokens 64"
    assert f"does not fit ({seen['tokens']} tokens, {room})\n" in short
    shorter = ("--rollout.max_model_len", "30", "--rollout.max_new_tokens", "8")
    assert "22 fit: rollout.max_model_len 30 less rollout.max_new_tokens 8)" in printed(
        capsys, *arguments, *shorter
    )


def test_a_tokenizer_with_a_chat_template_is_said_to_have_one(
    source: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "chat"
    shutil.copytree(tiny_model, folder)
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    said = "this tokenizer has a chat template: eval asks in style chat, train in style base"
    arguments = (source, "own/1", "--tokenizer")
    assert f"\n{said} unless --prompt.style chat\n" in printed(capsys, *arguments, str(folder))
    assert said not in printed(capsys, *arguments, str(tiny_model))
    assert said not in printed(capsys, *arguments, str(folder), "--prompt.style", "chat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own/2"], "no problem 'own/2' in it; its ids are like 'own/1'"),
        (["1"], "no problem '1' in it; its ids are like 'own/1'"),
        (["own/1", "--stage", "1"], "has stages 0 to 0, and -1 for the whole task"),
        (["own/1", "--prompt.style", "chat"], "writes the prompt; give --tokenizer FOLDER"),
        (["own/1", "--prompt.template", "'{{ nope }}'"], "'nope' is undefined; the fields are"),
        (["own/1", "--tokenizer", "nowhere"], "model nowhere: no such folder"),
    ],
)
def test_what_cannot_be_shown_is_one_message(
    source: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["data", "prompt", source, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_stats_count_prompts_that_name_no_function(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "stats", source]) == 0
    assert "names no function" not in capsys.readouterr().out
    synthetic = tmp_path / "synthetic.jsonl"
    assert main(["data", "synth", "-o", str(synthetic), "--per-tier", "4"]) == 0
    assert main(["data", "stats", str(synthetic)]) == 0
    told = capsys.readouterr().out
    assert "the prompt of 12 problems names no function" in told
    assert "and 2 more; set prompt.template to one that says {{ interface }}, such as plain" in told
