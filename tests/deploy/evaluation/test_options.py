"""Options and settings that would give a wrong or a meaningless figure are refused at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.evaluation.evaluator import Sampling
from deploy.cli import main
from deploy.errors import ConfigError
from deploy.evaluation.folder import EvaluationFolder
from deploy.evaluation.settings import EvaluationSettings, evaluation_config
from deploy.evaluation.subject import Subject, subject_of

MODEL = ("--model", "canonical")
SUITE = ("--suite", "synthetic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*SUITE], "give either --model, or --judge FILE"),
        ([*MODEL], "--suite requires an argument"),
        ([*MODEL, *SUITE, "--judge", "s.jsonl"], "give either --model, or --judge"),
        (["--judge", "s.jsonl", *SUITE, "--generate-only"], "--judge and --generate-only exclude"),
        ([*MODEL, *SUITE, "--k", "1,10"], "pass@10 needs at least 10 samples"),
        ([*MODEL, *SUITE, "--samples", "9", "--temperature", "1", "--k", "9"], "has 1"),
        ([*MODEL, *SUITE, "--k", "few"], "--k few: expected numbers separated by commas"),
        ([*MODEL, *SUITE, "--samples", "4"], "greedy samples are all alike; give --temperature"),
        ([*MODEL, *SUITE, "--top-p", "0.9"], "--top-p: is for sampling; give --temperature"),
        ([*MODEL, *SUITE, "--top-p", "0"], "--top-p 0: is not above 0"),
        ([*MODEL, *SUITE, "--greedy", "--temperature", "1"], "exclude each other"),
        ([*MODEL, *SUITE, "--resume", "--overwrite"], "exclude each other"),
        ([*MODEL, *SUITE, "--limit", "0"], "--limit 0: must be at least 1"),
        (["--judge", "absent.jsonl", *SUITE], "--judge absent.jsonl: no such file"),
        (["--judge", ".", *SUITE], "--judge .: a folder; give the file of samples in it"),
        (["--judge", "/dev/null", *SUITE], "--judge /dev/null: not a regular file"),
        (
            ["--judge", __file__, *SUITE, "--samples", "9", "--temperature", "1"],
            "--judge and --samples, --temperature exclude each other",
        ),
        (["--model", "Qwen/Qwen2.5-Coder-0.5B", *SUITE], "the hub cannot be reached: run"),
        (["--model", "absent", *SUITE], "--model absent: no config.json there; expected a Hugging"),
        ([*MODEL, "--suite", "humaneval-x"], "humaneval-x: no such file, and no suite"),
        ([*MODEL, *SUITE, "--temprature", "1"], "--temperature"),
        ([*MODEL, *SUITE, "--from", "May"], "--from: 'May' is no date; write it as 2024-08-31"),
        ([*MODEL, *SUITE, "--to", "2024-08-31"], "--to: suite synthetic has no releases"),
        ([*MODEL, *SUITE, "--resume", "--out", "absent"], "no evaluation in absent"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_message_and_starts_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_its_policy_is_told_from_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: cut\n")
    with pytest.raises(ConfigError, match="has no policy yet"):
        subject_of(str(tmp_path))
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text('{"max_position_embeddings": 77}')
    subject = subject_of(str(tmp_path))
    assert subject.folder == tmp_path / "policy"
    assert subject.context_len() == 77
    (tmp_path / "settings.json").touch()
    with pytest.raises(ConfigError, match="the folder of an evaluation"):
        subject_of(str(tmp_path))


def test_two_evaluations_of_one_folder_do_not_mix(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path / "eval")
    with folder.sole_writer():
        folder.begin(overwrite=False)
        folder.settings.touch()
        with (
            pytest.raises(ConfigError, match="another `stepcoder eval` is writing"),
            folder.sole_writer(),
        ):
            raise AssertionError("two evaluations in one folder")
    with folder.sole_writer():
        (folder.root / "inspect").mkdir()
        folder.begin(overwrite=True)
        assert list(folder.root.iterdir()) == []


def test_a_judged_file_is_not_removed_by_its_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = EvaluationFolder(tmp_path / "eval")
    folder.begin(overwrite=False)
    folder.settings.touch()
    folder.samples.write_text("{}\n")
    judged = ["--judge", str(folder.samples), "--out", str(folder.root)]
    assert main(["eval", *judged, *SUITE, "--data.heldout_per_tier", "1", "--overwrite"]) == 2
    assert "--overwrite removes it, as it lies in" in capsys.readouterr().err
    assert folder.samples.exists()


def test_the_digest_of_a_model_follows_its_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"0")
    subject = Subject("m", tmp_path)
    before = subject.digest()
    (tmp_path / "README.md").write_text("a model")
    assert subject.digest() == before
    (tmp_path / "model.safetensors").write_bytes(b"1")
    assert subject.digest() != before


def test_a_run_is_evaluated_with_its_own_prompts_and_everything_can_be_overridden(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.yaml").write_text(
        "prompt: {system: as trained}\n"
        "rollout: {threads: 7}\n"
        "sandbox: {limits: {memory_mib: 300}}\n"
    )
    profile = tmp_path / "profile.yaml"
    profile.write_text("sandbox: {limits: {wall_seconds: 3}}\n")
    subject = Subject("run", tmp_path, tmp_path / "config.yaml")
    overrides = ["--rollout.kv_cache_mib=64"]
    config = evaluation_config(profile, overrides, subject, "auto", has_chat_template=True)
    assert (config.prompt.style, config.prompt.system) == ("chat", "as trained")
    limits = config.sandbox.limits
    assert (limits.memory_mib, limits.wall_seconds) == (300, 3)
    assert (config.rollout.threads, config.rollout.kv_cache_mib) == (1, 64)
    assert (config.rollout.dtype, config.rollout.hang_timeout_s) == ("auto", 600)
    with pytest.raises(ConfigError, match=r"--rollout.temperature is training's; .* --temperature"):
        evaluation_config(None, ["--rollout.temperature=1"], subject, "auto", True)
    plain = evaluation_config(None, [], Subject("base", tmp_path), "auto", False)
    assert plain.prompt.style == "base"


def settings(**fields: object) -> EvaluationSettings:
    given = {
        "model": "m",
        "model_digest": "d",
        "suites": {"s": "d"},
        "judged_file": None,
        "judged_sha256": None,
        "sampling": Sampling(1, 0.0, 1.0, 64, 0),
        "dtype": "auto",
        "prompt": {"style": "chat"},
        "answer": None,
        "sandbox": {"limits": {"wall_seconds": 10.0}},
    }
    return EvaluationSettings.model_validate(given | fields)


def test_only_the_same_evaluation_is_continued(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path / "out")
    folder.begin(overwrite=False)
    settings().write(folder.settings)
    settings().require_same(folder.settings)
    changed = settings(sampling=Sampling(1, 0.0, 1.0, 65, 0), model_digest="e")
    with pytest.raises(
        ConfigError,
        match=r'differs from .*: model_digest was "d" and is now "e"; '
        r"sampling\.max_new_tokens was 64 and is now 65\. Give",
    ):
        changed.require_same(folder.settings)
    given = settings(sampling=None, suites={"s": "f" * 64})
    with pytest.raises(
        ConfigError,
        match=r'suites\.s was "d" and is now "f{12}\.\.\.".*samples was 1 and is now absent',
    ):
        given.require_same(folder.settings)


def test_a_folder_is_replaced_only_when_asked_and_only_if_it_is_an_evaluation(
    tmp_path: Path,
) -> None:
    folder = EvaluationFolder(tmp_path / "out")
    folder.begin(overwrite=False)
    folder.settings.write_text("{}")
    with pytest.raises(ConfigError, match="holds another evaluation: choose another --out"):
        folder.begin(overwrite=False)
    folder.begin(overwrite=True)
    (folder.root / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="holds other files"):
        folder.begin(overwrite=True)
    assert (folder.root / "thesis.tex").exists()


def test_results_that_are_no_results_are_refused(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path)
    folder.problems.write_text(json.dumps({"suite": "s", "id": 1}) + "\n")
    with pytest.raises(ConfigError, match="not written by this version"):
        folder.read_problems()
    folder.result.write_text("{")
    with pytest.raises(ConfigError, match=r"not JSON.* eval --resume` writes it again"):
        folder.read_result()
    for content in ("[]", "{}", '{"suites": {"s": 1}}'):
        folder.result.write_text(content)
        with pytest.raises(ConfigError, match=r"not the result of an evaluation; .*--resume"):
            folder.read_result()
