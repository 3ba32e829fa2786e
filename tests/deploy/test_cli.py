"""The command line, as a person meets it: help, refusals, exit statuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actors.runs.folder import RunFolder
from deploy.cli import INTERRUPTED, main
from deploy.config import ConfigError, load_config
from deploy.preflight import check_folder, check_model_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("words", [[], ["train"], ["config"], ["local-cluster", "up"]])
def test_help_shows_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_config_prints_what_load_config_reads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    profile = str(ROOT / "deploy" / "profiles" / "local.yaml")
    assert main(["config", "--config", profile, "--rollout.temperature", "0.9"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert load_config(printed).rollout.temperature == 0.9


def test_an_unknown_key_ends_in_one_message_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "--rollout.temprature", "1"]) == 2
    printed = capsys.readouterr()
    assert "did you mean rollout.temperature?" in printed.err
    assert "Traceback" not in printed.err


def test_a_missing_model_folder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.path .*absent: no config.json there"):
        check_model_folder(tmp_path / "absent")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"no tokenizer\.json there"):
        check_model_folder(tmp_path)


def test_train_with_a_missing_model_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "deploy", "train", "--model.path", str(tmp_path / "absent"),
         "--runs_dir", str(tmp_path / "runs")],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "no config.json there" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "runs").exists()


SLOW = """
import argparse, signal, sys, time
from deploy import cli

class Parser:
    def parse_known_args(self, words):
        def command(options, words):
            try:
                print("up", flush=True)
                time.sleep(60)
            finally:
                print("cleaned up", flush=True)
        return argparse.Namespace(command=command), []

{before}
cli._parser = Parser
sys.exit(cli.main([]))
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


def test_a_run_folder_in_use_is_kept(tmp_path: Path) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path)])
    folder = RunFolder(tmp_path / config.name)
    check_folder(folder, config, resume=False, overwrite=False)
    folder.clear()
    folder.metrics.write_text("{}\n")
    with pytest.raises(ConfigError, match="holds another run"):
        check_folder(folder, config, resume=False, overwrite=False)
    check_folder(folder, config, resume=False, overwrite=True)
    assert folder.metrics.read_text() == "{}\n", "checking changes nothing"


def test_resume_needs_a_checkpoint_and_the_same_configuration(tmp_path: Path) -> None:
    config = load_config(None, ["--runs_dir", str(tmp_path)])
    folder = RunFolder(tmp_path / config.name)
    with pytest.raises(ConfigError, match="no checkpoint"):
        check_folder(folder, config, resume=True, overwrite=False)
    folder.clear()
    folder.config.write_text(config.to_yaml())
    with folder.checkpoint(3, keep=2) as partial:
        (partial / "file").write_text("x")
    longer = load_config(None, ["--runs_dir", str(tmp_path), "--loop.steps", "7"])
    check_folder(folder, longer, resume=True, overwrite=False)
    smaller = load_config(None, ["--runs_dir", str(tmp_path), "--learner.token_budget", "512"])
    check_folder(folder, smaller, resume=True, overwrite=False)
    hotter = load_config(None, ["--runs_dir", str(tmp_path), "--rollout.temperature", "0.5"])
    with pytest.raises(ConfigError, match=r"differs from .* at rollout\.temperature"):
        check_folder(folder, hotter, resume=True, overwrite=False)
