"""Every command of the documentation is run, with the files that it names provided.

Commands that take minutes are run by the test that is about them; here their arguments are checked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.ablation.stored import write_stored
from deploy.cli import main
from sandbox import Outcome
from tests.actors.recording.test_rollout_log import group as rollout_group
from tests.actors.recording.test_rollout_log import written as recorded
from tests.deploy.ablation.test_grid import made_grid
from tests.deploy.inspection.test_site import an_evaluation
from tests.deploy.model_configs import config_folder
from tests.deploy.report.runs.made_runs import write_run
from tests.deploy.report.test_result_table import RESULT
from tests.docs.commands import ROOT, Command, block_commands, inline_commands

BIN = Path(sys.executable).parent
SMALL_MODEL = ("--sft.steps", "2", "--sft.batch_size", "2", "--model.hidden_size", "64",
               "--model.heads", "1", "--model.layers", "1")  # fmt: skip

MBPP = [
    {
        "task_id": number,
        "text": f"Write a function to add {number} to a number.",
        "code": f"def add(a):\n    if a:\n        return a + {number}\n    return {number}\n",
        "test_list": [f"assert add({a}) == {a + number}" for a in (0, 1, 2)],
    }
    for number in (1, 2, 3)
] + [{"task_id": 4, "text": "No tests.", "code": "x = 1", "test_list": []}]


def identifier(command: Command) -> str:
    return str(command)


IN_ORDER = Path("docs/evaluation.md")
"""A page whose commands build on each other; tests/docs/test_evaluation_commands.py runs them, and
every other evaluation.
"""


def of(*programs: str) -> list[Command]:
    """The commands of these programs, each once."""
    commands = {
        (command.program, *command.arguments): command
        for command in block_commands()
        if command.program in programs
        and command.page != IN_ORDER
        and command.arguments[:1] != ["eval"]
    }
    return list(commands.values())


def test_no_documented_command_is_without_a_test() -> None:
    tested = {"make", "stepcoder", "ray", "export", "pre-commit"}
    assert {command.program for command in block_commands()} <= tested


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documented commands name."""
    folder = tmp_path_factory.mktemp("documentation")
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "mbpp.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in MBPP))
    stepcoder(folder, "data", "convert", "mbpp.jsonl", "-o", "problems.jsonl", "--skip-bad")
    mine = {"prompt": {"text": "Add."}, "solution": "def f(x):\n    return x + 1", "level": "EASY"}
    (folder / "mine.json").write_text(json.dumps([mine | {"checks": ["assert f(1) == 2"]}]))
    for name in ("kept.jsonl", "train.jsonl"):
        shutil.copy(folder / "problems.jsonl", folder / name)
    for name, mask in (("hot", "fgo"), ("hot-2", "fgo"), ("no-mask", "none")):
        write_run(folder / "runs" / name, steps=3, learner={"mask": mask})
    (folder / "runs" / "hot" / "result.json").write_text(json.dumps(RESULT))
    recorded(folder / "runs" / "hot" / "rollouts", [rollout_group(0, [Outcome.passed])])
    an_evaluation(folder / "runs" / "eval" / "qwen")
    for run in made_grid(3).runs:
        write_stored(run, folder / "runs" / "ablation" / "results")
    (folder / "docs" / "results").mkdir(parents=True)
    (folder / "docs" / "images").mkdir()
    (folder / "docs" / "signal").symlink_to(ROOT / "docs" / "signal")
    config_folder(folder / "models" / "qwen", "Qwen/Qwen2.5-Coder-7B-Instruct")
    (folder / "program.py").write_text("def solve(x):\n    return 2 * x\n")
    (folder / "add.py").write_text("def add(a):\n    return a + 1\n")
    (folder / "answer.txt").write_text("```python\ndef add(a):\n    return a + 1\n```\n")
    (folder / "completion.txt").write_text("```python\ndef two_max(a, b):\n    return a\n```\n")
    (folder / "tests.json").write_text('[{"input": [3], "output": 6}]')
    return folder


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared folder: no command sees what another one wrote."""
    return shutil.copytree(prepared, tmp_path / "documentation", symlinks=True)


def stepcoder(folder: Path, *arguments: str) -> str:
    """Run the command line in `folder`; returns what it printed.

    Raises:
        AssertionError: its exit status is not 0.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


STARTS_OTHERS = ("sft", "verify", "run", "judge")
"""Commands that start DeepSpeed or a sandbox."""


def starts_others(command: Command) -> bool:
    return bool(set(STARTS_OTHERS) & set(command.arguments[:2]))


@pytest.mark.parametrize(
    "command", [c for c in of("stepcoder") if not starts_others(c)], ids=identifier
)
def test_a_documented_command_succeeds(
    command: Command,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: starting one takes longer than most commands."""
    monkeypatch.chdir(workspace)
    name, *arguments = command.arguments
    if name == "train":  # tests/deploy/test_train.py trains; this resolves the configuration
        options = [word for word in arguments if word not in ("--resume", "--overwrite")]
        status = main(["config", *options])
    elif name == "report":  # tests/deploy/report/runs/test_write.py draws the pictures
        monkeypatch.setattr("deploy.report.runs.write.write_pictures", lambda *_: None)
        status = main([name, *arguments])
    elif (
        name in ("bench", "check")
        or (name == "ablate" and arguments[0].startswith("--"))
        or (name == "signal" and arguments[0] != "report")
    ):
        # tests/deploy/bench, machine, ablation and signal run each part once
        status = main([name, *arguments, "--help"])
    else:
        status = main([name, *arguments])
    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    if name == "train":
        assert "loop:" in printed.out


@pytest.mark.integration
@pytest.mark.parametrize(
    "command", [c for c in of("stepcoder") if starts_others(c)], ids=identifier
)
def test_a_documented_command_with_a_sandbox_or_a_model_succeeds(
    command: Command, workspace: Path
) -> None:
    arguments = command.arguments
    if arguments[0] == "sft":
        arguments = [*arguments, *SMALL_MODEL]
    stepcoder(workspace, *arguments)


@pytest.mark.parametrize("command", of("make"), ids=identifier)
def test_a_documented_make_target_has_a_recipe(command: Command) -> None:
    finished = subprocess.run(
        ["make", "--dry-run", *command.arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr


def test_the_documented_pre_commit_hooks_can_be_installed(tmp_path: Path) -> None:
    (command,) = of("pre-commit")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".pre-commit-config.yaml", tmp_path)
    subprocess.run([BIN / command.program, *command.arguments], cwd=tmp_path, check=True)
    assert (tmp_path / ".git" / "hooks" / "pre-commit").exists()


def words(command: Command) -> tuple[str, ...]:
    """The program, and the words behind it that name a command of it."""
    program, name, *rest = command.text.split()
    action = rest[0] if program != "make" and rest and re.fullmatch("[a-z]+", rest[0]) else ""
    return (program, name, action)


@pytest.mark.parametrize("named", sorted(set(map(words, inline_commands()))), ids=" ".join)
def test_a_command_named_in_a_sentence_exists(
    named: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    program, name, action = named
    if program == "make":
        targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        prefix = name.removesuffix("*")
        assert any(t == name or (prefix != name and t.startswith(prefix)) for t in targets)
    elif re.fullmatch("[a-z-]+", name):
        assert main([name, *filter(None, [action]), "--help"]) == 0, capsys.readouterr().err
