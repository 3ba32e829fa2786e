"""The command line: help, completion, overrides, messages, exit statuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.cli import INTERRUPTED, main
from deploy.config import load_config
from deploy.config.keys import all_keys

ROOT = Path(__file__).resolve().parents[2]


COMMANDS = [
    [],
    ["train"],
    ["sft"],
    ["eval"],
    ["eval", "compare"],
    ["config"],
    ["result"],
    ["data"],
    ["data", "answer"],
    ["data", "convert"],
    ["data", "prompt"],
    ["data", "verify"],
    ["sandbox", "run"],
    ["local-cluster", "up"],
    ["plan"],
    ["chaos"],
    ["bench", "sandbox"],
    ["check"],
    ["export"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_usage_and_examples(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(" ".join(["Usage: stepcoder", *command]))
    assert "Examples:\n  stepcoder " in printed
    examples = printed.split("Examples:\n")[1].split("\n\n")[0].splitlines()
    assert all(line.startswith("  ") for line in examples), "80 columns hold an example's line"
    assert "--verbose" in printed


def test_the_top_level_help_fits_on_one_screen_and_imports_no_command() -> None:
    code = (
        "import sys\nfrom deploy.cli import main\nmain(['--help'])\n"
        "print(*(name for name in sys.modules if name.startswith('deploy.')), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", "LINES": "50"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ended.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert set(ended.stderr.split()) == {"deploy.cli", "deploy.logs"}


@pytest.mark.parametrize(
    "command",
    [["train"], ["config"], ["local-cluster", "up"], ["chaos"]],
    ids=" ".join,
)
def test_help_lists_every_key_with_type_default_and_docstring(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "900")
    monkeypatch.setenv("LINES", "50")  # on a dumb terminal rich takes both or neither
    assert main([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for key in all_keys().values():
        if not key.is_section:
            [line] = [line for line in lines if line.startswith(f"│ --{key.name} ")]
            assert key.docstring in line
            assert f"[default: {key.default_text}]" in line
    temperature = next(line for line in lines if "--rollout.temperature " in line)
    assert "--rollout.temperature FLOAT " in temperature
    assert "[> 0, <= 2]" in temperature
    assert (
        "[choices: fgo, error, divergence, random, random_error, random_divergence, none]"
        in next(line for line in lines if "learner.mask " in line)
    )
    assert any("─ learner.zero ─" in line for line in lines)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["data", "answer"], {"answer"}),
        (["data", "prompt"], {"prompt", "curriculum", "rollout", "model"}),
        (["sft"], {"sft", "model", "prompt", "sandbox", "rollout"}),
        (
            ["eval"],
            {"data", "rollout", "prompt", "answer", "sandbox", "pool", "placement"}
            | {"seed", "runs_dir"},
        ),
    ],
    ids=["data answer", "data prompt", "sft", "eval"],
)
def test_help_lists_the_keys_that_the_command_reads_and_no_others(
    command: list[str],
    shown: set[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "900")
    monkeypatch.setenv("LINES", "50")
    assert main([*command, "--help"]) == 0
    listed = re.findall(r"^│ --([a-z_.]+) ", capsys.readouterr().out, re.MULTILINE)
    keys = [name for name in listed if name in all_keys()]
    assert {name.partition(".")[0] for name in keys} == shown


def test_a_key_that_the_help_leaves_out_is_an_option_still(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    completion = tmp_path / "completion.txt"
    completion.write_text("x = 1\n")
    assert main(["data", "answer", str(completion), "--learner.mask", "none"]) == 0
    assert main(["data", "answer", str(completion), "--learner.mask", "nothing"]) == 2
    assert "learner.mask: 'nothing' is none of" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_configuration_keys(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "completion"
    assert main(["--install-completion", "--shell", shell, "--output", str(script)]) == 0
    text = script.read_text()
    for expected in ("local-cluster", "verify", "rollout.temperature", "reinforce++"):
        assert expected in text


def test_overrides_stand_anywhere_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    profile = str(ROOT / "deploy" / "profiles" / "local.yaml")
    arguments = ["--learner.mask=none", "--config", profile, "--loop.eval-every", "3"]
    arguments += ["--verbose", "--rollout.temperature", "1e-1", "--learner.mask", "random"]
    assert main(["config", *arguments]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["learner"]["mask"] == "random", "the last of two wins"
    assert config["loop"]["eval_every"] == 3
    assert config["rollout"]["temperature"] == 0.1
    assert config["name"] == "smoke"


def test_values_of_overrides_are_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--learner.mask_covers", "[policy, value]", "--placement.colocate", "yes"]
    arguments += ["--curriculum.tier_weights", "{interview: 2}", "--learner.value_clip", "null"]
    arguments += ["--learner.zero", "{stage: 1}", "--reward.failed", "-0.5"]
    assert main(["config", *arguments]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["learner"]["mask_covers"] == ["policy", "value"]
    assert config["placement"]["colocate"] is True
    assert config["curriculum"]["tier_weights"] == {"interview": 2.0}
    assert config["learner"]["value_clip"] is None
    assert config["learner"]["zero"]["stage"] == 1
    assert config["reward"]["failed"] == -0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--rollout.temprature", "1"], "did you mean rollout.temperature?"),
        (["train", "--temperature", "1"], "Did you mean --rollout.temperature?"),
        (["train", "--rollout.top_p", "0.9"], "loop.eval_top_p truncates in evaluations"),
        (["train", "--rolout.workers", "1"], "did you mean rollout"),
        (["train", "--rollout.temperature", "hot"], "rollout.temperature: must be a number, not"),
        (["train", "--learner.mask", "nonee"], "learner.mask: 'nonee' is none of fgo, error"),
        (["train", "--data.kind", "mbpp"], "convert a data set of another format with `stepcoder"),
        (["train", "--rollout.temperature"], "--rollout.temperature requires an argument"),
        (["train", "--resum"], "--resume?"),
        (["train", "rollout.temperature=1"], "unexpected argument 'rollout.temperature=1'"),
        (["train", "--config", "absent.yaml"], "absent.yaml: no such file; shipped profiles: "),
        (["train", "--config", "/"], "/: Is a directory; expected a profile in YAML"),
        (["train", "--runs_dir", "/dev/null"], "/dev/null is not a folder: choose another --name"),
        (["trian"], 'Did you mean "train"?'),
        (["data", "statz"], 'Did you mean "stats"?'),
        (["data", "stats"], "SOURCE requires an argument"),
        (["data", "stats", "absent.jsonl"], "absent.jsonl: No such file or directory"),
        (["data", "synth", "-o", "x", "--per-tier", "many"], 'unable to convert "many" into int'),
        (["result", "absent"], "no finished run there"),
        (["result", "/dev/null"], "no finished run there"),
        (["bench", "fleet", "--workers", "1,x"], "expected numbers separated by commas"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_end_in_one_message_and_status_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("stepcoder: ")
    assert message in printed.err
    assert not printed.out
    assert not list(tmp_path.iterdir())


def test_a_key_is_explained_with_what_sets_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("rollout: {temperature: 0.5, workers: 2}\nloop: {steps: 7}\n")
    explain = ["config", "--config", str(profile), "--rollout.workers", "3", "--explain"]
    assert main([*explain, "rollout.temperature"]) == 0
    printed = capsys.readouterr().out
    assert "Sampling temperature." in printed
    assert "type     float > 0, <= 2\n  default  1.0\n" in printed
    assert f"value    0.5   (set by {profile})" in printed
    assert main([*explain, "rollout"]) == 0
    printed = capsys.readouterr().out
    assert "value 3   (set by the override --rollout.workers)" in printed
    assert "rollout.heartbeat_s  float > 0" in printed
    assert main([*explain, "learner.kl_stop"]) == 0
    assert "value    null   (the default)" in capsys.readouterr().out
    assert main([*explain, "rollout.temprature"]) == 2
    assert "did you mean rollout.temperature" in capsys.readouterr().err


def test_config_prints_what_load_config_reads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    profile = str(ROOT / "deploy" / "profiles" / "local.yaml")
    assert main(["config", "--config", profile, "--rollout.temperature", "0.9"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert load_config(printed).rollout.temperature == 0.9


def test_train_with_a_missing_model_folder_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ["--model.path", str(tmp_path / "absent")]
    assert main(["train", *missing, "--runs_dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert "no such folder" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_modules_are_loaded_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "cyclopts.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    # Where a shell put this process behind, Ctrl-C is ignored here and in what is started.
    program = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'deploy', '--help'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert error == ""
    assert process.returncode == -signal.SIGINT


SLOW = """
import os, signal, sys, time
from deploy import cli

@cli.app.command
def wait():
    try:
        print("up", flush=True)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # Slurm's comes twice
        print("cleaned up", flush=True)

{before}
sys.exit(cli.main(["wait"]))
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as Ray does for its jobs",
        "signal.signal(signal.SIGINT, signal.SIG_IGN)  # as shells do for what they put behind",
    ],
)
def test_sigterm_ends_a_command_through_its_finally(before: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW.replace("{before}", before)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        output, error = process.communicate(timeout=30)
    assert output == "cleaned up\n"
    assert "interrupted" in error
    assert process.returncode == INTERRUPTED
