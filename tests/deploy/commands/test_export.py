"""`stepcoder export`: from a checkpoint to a model folder, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from actors.runs.folder import RunFolder
from deploy.cli import main
from deploy.config import load_config
from tests.learner.ranks import weights
from tests.learner.runs import LORA, new_learner, same
from tests.learner.samples import grouped, random_trajectories


@pytest.mark.integration
def test_a_run_is_exported_from_its_newest_checkpoint(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path / "run")
    learner = new_learner(
        tiny_model, lora=LORA, policy={"lr": 1e-2}, advantage="reinforce++", zero={"stage": 3}
    )
    learner.update(grouped(random_trajectories(1)))
    with run.checkpoint(3, keep=1) as partial:
        learner.save_checkpoint(partial / "learner")
    run.config.write_text(load_config(None, ["--model.path", str(tiny_model)]).to_yaml())
    out = tmp_path / "out"
    assert main(["export", str(run.root), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"export: step-000003, float32 -> {out}" in printed
    assert "merging into float32 rounds away" in printed
    assert same(weights(learner)["policy"], AutoModelForCausalLM.from_pretrained(out).state_dict())
    checkpoint = str(run.latest())
    assert main(["export", checkpoint, "-o", str(out)]) == 2, "it holds a model"
    assert "replace it with --overwrite" in capsys.readouterr().err
    assert main(["export", checkpoint, "-o", str(out), "--adapters", "--overwrite"]) == 0
    assert str(tiny_model) in (out / "adapter_config.json").read_text()


def test_wrong_arguments_of_export_end_in_one_message(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    for path in (tmp_path / "absent", tmp_path, tiny_model):
        assert main(["export", str(path), "-o", out]) == 2
        assert "no checkpoint there; give a folder such as" in capsys.readouterr().err
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a").touch()
    checkpoint = tmp_path / "step-000001"
    (checkpoint / "learner").mkdir(parents=True)
    (checkpoint / "learner" / "learner.json").write_text("{}")
    assert main(["export", str(checkpoint), "-o", str(tmp_path / "notes")]) == 2
    assert "exists and is no model folder" in capsys.readouterr().err
    manifest = {
        "config": {},
        "zero_stage": 0,
        "shapes": {"policy: a": ["float32", 1]},
    }
    (checkpoint / "learner" / "policy" / "state").mkdir(parents=True)
    (checkpoint / "learner/policy/state/mp_rank_00_model_states.pt").write_bytes(b"cut off")
    for text in ("{}", "[]", "null", '{"config', json.dumps(manifest | {"shapes": []}),
                 json.dumps(manifest), json.dumps(manifest | {"zero_stage": 2})):  # fmt: skip
        (checkpoint / "learner" / "learner.json").write_text(text)
        assert main(["export", str(checkpoint), "-o", out]) == 2
        assert "holds no complete checkpoint" in capsys.readouterr().err


def test_a_model_is_replaced_after_a_question(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploy.commands.overwriting import check_target
    from deploy.errors import ConfigError

    out = shutil.copytree(tiny_model, tmp_path / "model")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    check_target(out, overwrite=False)
    monkeypatch.setattr("builtins.input", lambda _question: "")
    with pytest.raises(ConfigError, match="kept; name another folder"):
        check_target(out, overwrite=False)
    check_target(out, overwrite=True)
    check_target(tmp_path / "new" / "model", overwrite=False)
