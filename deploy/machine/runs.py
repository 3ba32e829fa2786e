"""Parts that train: ten steps on the bundled problems, and a pretrained model on given ones."""

from __future__ import annotations

from typing import Any

from actors.runs.folder import RunFolder
from deploy.config.load import PROFILES, load_config
from deploy.machine.part import Figure, NotHere, Scale
from deploy.train import train


def bundled(scale: Scale) -> list[Figure]:
    """A warm start and some RL steps on the bundled problems, with every part real."""
    overrides = {
        "loop.steps": scale.steps, "loop.checkpoint_every": 0, "loop.verify_every": 1,
        "sft.steps": 20 if scale.quick else 450, "data.heldout_per_tier": 4 if scale.quick else 30,
        "loop.eval_samples": 1, "weights.timeout_s": 60, "placement.min_free_memory_gib": 1,
    }  # fmt: skip
    if scale.quick:
        overrides |= {
            "model.hidden_size": 64, "model.heads": 1, "model.layers": 1,
            "learner.critic_layers": 1,
            "sft.batch_size": 8, "data.corpus_size": 300, "data.train_per_tier": 2,
            "loop.prompts_per_step": 2, "rollout.samples_per_prompt": 4,
            "rollout.max_new_tokens": 32,
        }  # fmt: skip
    return _train(scale, "bundled", overrides)


def pretrained(scale: Scale) -> list[Figure]:
    """A pretrained model on given problems, as `deploy/profiles/gpu-1.yaml` trains it."""
    if scale.model is None or scale.train is None or scale.heldout is None:
        raise NotHere("it needs --model FOLDER, --train FILE and --heldout FILE (docs/data.md)")
    overrides = {
        "model.path": scale.model, "data.kind": "jsonl", "data.train_path": scale.train,
        "data.heldout_path": scale.heldout, "prompt.style": "chat", "loop.steps": scale.steps,
        "loop.checkpoint_every": 0, "loop.eval_samples": 1, "learner.advantage": "rloo",
        "learner.kl_coefficient": 0, "learner.gradient_checkpointing": "true",
        "rollout.max_new_tokens": 256, "rollout.max_model_len": 1024,
        "rollout.start_timeout_s": 300, "placement.min_free_memory_gib": 1,
    }  # fmt: skip
    return _train(scale, "pretrained", overrides)


def _train(scale: Scale, name: str, overrides: dict[str, Any]) -> list[Figure]:
    settings = {"name": name, "runs_dir": scale.folder / "runs", **overrides}
    arguments = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    result = train(load_config(PROFILES / "local.yaml", arguments), overwrite=True)
    before, after = (result["eval"][when]["pass_at_1"]["overall"] for when in ("before", "after"))
    samples = result["samples"]
    lost = samples["asked"] - samples["trained"] - samples["dropped"]
    weights = result["weights"]
    rows = RunFolder(scale.folder / "runs" / name).step_rows()
    return [
        Figure("steps", len(rows), "", str(scale.steps), len(rows) == scale.steps,
               "see log.txt in the run folder"),
        Figure("samples neither trained nor dropped", lost, "", "0", lost == 0, "report it"),
        Figure("parity checks that passed", weights["parity_checks"]),
        Figure("largest log-prob difference", weights["max_logprob_diff"], "nats"),
        Figure("held-out pass@1 before", round(before, 4)),
        Figure("held-out pass@1 after", round(after, 4)),
        Figure("isolation of programs", result["isolation"]),
        Figure("in all", round(result["seconds"]["total"], 1), "s"),
    ]  # fmt: skip
