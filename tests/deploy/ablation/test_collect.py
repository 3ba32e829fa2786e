"""A finished run's folder, distilled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.runs.folder import RunFolder, append_jsonl
from deploy.ablation.collect import collect_run, deciding_settings
from deploy.ablation.stored import StoredRun
from deploy.config import RunConfig
from deploy.errors import ConfigError


def finished(root: Path) -> RunFolder:
    """Three steps, evaluated before, after the second and at the end."""
    files = RunFolder(root)
    files.clear()
    config = RunConfig.model_validate(
        {
            "name": "ppo-1",
            "runs_dir": str(root.parent),
            "seed": 1,
            "curriculum": {"mode": "none"},
            "loop": {"steps": 3, "eval_samples": 2, "checkpoint_every": 1},
            "placement": {"learner_threads": 2},
        }
    )
    files.config.write_text(config.to_yaml())
    for step in range(4):
        if step:
            row = {
                "step": step, "ledger/trained": 8.0, "learner/tokens": 100.0 + step,
                "learner/optimizer_steps": 2.0, "outcome/passed": step / 7, "outcome/timeout": 0.0,
                "learner/entropy": 0.123456, "seconds/step": 4.0, "pass_rate": step / 7,
                "pass_rate/tier/interview": 0.5,
            }  # fmt: skip
            row |= {"learner/masked_share/failed": 0.5} if step > 1 else {}
            append_jsonl(files.metrics, [row])
        if step in (0, 2, 3):
            problems = {
                f"{tier}/{n}": {"tier": tier, "digest": f"{n}", "samples": 2,
                                "judged": 2 - (step == 3 and n == 1), "passed": int(step > n)}
                for tier in ("introductory", "interview") for n in range(2)
            }  # fmt: skip
            measured = {"eval/heldout/truncated": 0.25, "eval/heldout/completion_tokens": 41.234567}
            append_jsonl(files.metrics, [{"step": step, "suite": "heldout", **measured}])
            evaluated = {"step": step, "suite": "heldout", "problems": problems}
            append_jsonl(files.evaluations, [evaluated, evaluated | {"suite": "other"}])
    result = {
        "config_digest": config.digest(), "git_commit": "abc", "isolation": "process",
        "versions": {"ray": "2"}, "samples": {"asked": 24, "trained": 24, "generated": 24},
        "seconds": {"total": 12.345, "rollout": 1.0},
    }  # fmt: skip
    files.result.write_text(json.dumps(result))
    return files


def collected(folder: RunFolder) -> StoredRun:
    return collect_run(folder, "made", "ppo", 1, 0, {"curriculum.mode": "none"})


def test_a_run_is_distilled_to_what_its_tables_need(tmp_path: Path) -> None:
    run = collected(finished(tmp_path / "ppo-1"))
    assert (run.steps, run.tokens, run.optimizer_steps) == (3, 306, 6)
    assert run.samples == {"asked": 24, "trained": 24, "dropped": 0}
    assert [(e.step, e.samples, e.tokens) for e in run.evaluations] == [
        (0, 0, 0), (2, 16, 203), (3, 24, 306),
    ]  # fmt: skip
    assert run.evaluations[1].passed == {"introductory": [1, 1], "interview": [1, 1]}
    assert run.evaluations[1].judged == {}
    assert run.evaluations[2].judged == {"introductory": [2, 1], "interview": [2, 1]}
    assert run.evaluations[0].completion_tokens == 41.23
    assert run.seconds == {"total": 12.3, "rollout": 1.0}
    assert run.series == {
        "learner/entropy": [0.1235] * 3,
        "learner/masked_share/failed": [None, 0.5, 0.5],
        "learner/tokens": [101.0, 102.0, 103.0],
        "outcome/passed": [0.1429, 0.2857, 0.4286],
        "pass_rate": [0.1429, 0.2857, 0.4286],
    }
    assert run.machine.cores >= 1


def test_settings_are_those_that_decide_figures(tmp_path: Path) -> None:
    run = collected(finished(tmp_path / "ppo-1"))
    assert run.settings == {"curriculum.mode": "none", "loop.eval_samples": 2, "loop.steps": 3}
    assert deciding_settings(RunConfig()) == {}


@pytest.mark.parametrize(
    ("path", "kept"),
    [("models/qwen", "qwen"), ("/data/models/qwen", "qwen"), ("Qwen/Coder", "Qwen/Coder"),
     ("Qwen/Coder@0123456789", "Qwen/Coder")],
)  # fmt: skip
def test_settings_hold_no_place(
    path: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's own configuration has absolute paths and commits, the grid's what was typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "qwen").mkdir(parents=True)
    data = {"kind": "jsonl", "train_path": "/data/train.jsonl", "heldout_path": "held.jsonl"}
    config = RunConfig.model_validate({"model": {"path": path}, "data": data})
    assert deciding_settings(config) == {
        "data.kind": "jsonl",
        "data.train_path": "train.jsonl",
        "data.heldout_path": "held.jsonl",
        "model.path": kept,
    }


def test_a_run_that_has_not_finished_is_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path / "ppo-1")
    folder.result.unlink()
    with pytest.raises(ConfigError, match="has not finished"):
        collected(folder)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path / "ppo-1")
    folder.evaluations.unlink()
    with pytest.raises(ConfigError, match="not the folder of a finished run"):
        collected(folder)
    folder = finished(tmp_path / "ppo-1")
    folder.result.write_text("{}")
    with pytest.raises(ConfigError, match="no 'config_digest'"):
        collected(folder)
