"""Run folders as a training run writes them, with curves made up from a seed."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from actors.runs.folder import RunFolder, append_jsonl
from deploy.config import RunConfig

TIERS = ("introductory", "interview", "competition")
OUTCOMES = ("passed", "failed", "runtime_error", "compile_error", "timeout")
LATER = 4e9
"""Time of the first step, later than any clock: a run that has not finished is running."""
HARDNESS = {"introductory": 0.6, "interview": 1.2, "competition": 3.0}


def write_run(
    root: Path,
    steps: int = 40,
    seed: int = 0,
    finished: bool = True,
    per_tier: int = 12,
    **sections: Any,
) -> Path:
    """A run of `steps` steps, with a restart at a third and a drop at two thirds of them."""
    draw = random.Random(seed)
    files = RunFolder(root)
    files.clear()
    planned = steps if finished else 2 * steps
    tree = {"name": root.name, "runs_dir": str(root.parent), "seed": seed, **sections}
    tree["loop"] = {"steps": planned, "eval_every": 10} | tree.get("loop", {})
    files.config.write_text(RunConfig.model_validate(tree).to_yaml())
    problems = {
        f"{tier}/{n}": (tier, draw.randint(1, 4)) for tier in TIERS for n in range(per_tier)
    }
    stages = {key: count - 1 for key, (_, count) in problems.items()}
    first = {key: [tier, count, count - 1] for key, (tier, count) in problems.items()}
    append_jsonl(files.curriculum, [{"step": 0, "problems": first}])
    speed = 1.0 if tree.get("learner", {}).get("mask", "fgo") == "fgo" else 0.7
    append_jsonl(files.metrics, [evaluation(0, steps, speed, draw)])
    for step in range(1, steps + 1):
        moved = {}
        for key, (tier, _) in problems.items():
            if stages[key] >= 0 and draw.random() < 0.12 * speed / HARDNESS[tier]:
                stages[key] -= 1
                moved[key] = stages[key]
        append_jsonl(files.curriculum, [{"step": step, "asked": [], "stages": moved}])
        append_jsonl(files.metrics, [step_row(step, steps, speed, draw, stages, problems)])
        if step % 10 == 0 or (step == steps and finished):
            append_jsonl(files.metrics, [evaluation(step, steps, speed, draw)])
            append_jsonl(files.evaluations, [counts(step, steps, speed, draw)])
    if finished:
        files.result.write_text(
            json.dumps(
                {
                    "git_commit": "0123456789abcdef",
                    "isolation": "docker",
                    "versions": {"torch": "2.13.0", "vllm": "0.32.0"},
                    "seconds": {"total": 8.0 * steps},
                }
            )
        )
    return root


def level(step: int, steps: int, speed: float, tier: str) -> float:
    """The made-up pass rate of a tier."""
    return 0.92 * (1 - math.exp(-2.2 * speed * (step + 2) / max(1, steps) / HARDNESS[tier]))


def evaluation(step: int, steps: int, speed: float, draw: random.Random) -> dict[str, Any]:
    rates = {tier: level(step, steps, speed, tier) * draw.uniform(0.92, 1.05) for tier in TIERS}
    rates["overall"] = sum(rates.values()) / 3
    row: dict[str, Any] = {"step": step, "time": LATER + 8 * step, "suite": "heldout"}
    for tier, rate in rates.items():
        row[f"eval/heldout/pass_at_1/{tier}"] = rate
        row[f"eval/heldout/low/{tier}"] = max(0.0, rate - 0.06)
        row[f"eval/heldout/high/{tier}"] = min(1.0, rate + 0.06)
    return row | {"eval/heldout/seconds": 20.0}


def step_row(
    step: int,
    steps: int,
    speed: float,
    draw: random.Random,
    stages: dict[str, int],
    problems: dict[str, tuple[str, int]],
) -> dict[str, float]:
    rates = {tier: min(1.0, 0.45 + 0.5 * level(step, steps, speed, tier)) for tier in TIERS}
    rates = {
        tier: max(0.0, min(1.0, rate * draw.uniform(0.8, 1.1))) for tier, rate in rates.items()
    }
    passed = sum(rates.values()) / 3
    rest = [draw.uniform(0.5, 1) * weight for weight in (6, 3, 1.5 * (1 - step / steps), 0.4)]
    shares = [passed, *((1 - passed) * part / sum(rest) for part in rest)]
    generated, judged, learned = (
        draw.uniform(2.2, 3.2),
        draw.uniform(0.2, 0.6),
        draw.uniform(2.5, 3),
    )
    row: dict[str, float] = {
        "step": step,
        "time": LATER + 8 * step,
        "reward": 1.5 * passed - 0.5,
        "pass_rate": passed,
        "pass_rate/full_task": rates["interview"] * 0.7,
        "curriculum/revealed": sum(s + 1 for s in stages.values())
        / sum(c for _, c in problems.values()),
        "learner/masked_share": 0.3 - 0.15 * step / steps,
        "learner/kl": 0.08 * step / steps * draw.uniform(0.8, 1.2),
        "learner/entropy": 0.6 * math.exp(-step / steps) * draw.uniform(0.9, 1.1),
        "learner/clip_share": 0.05 * draw.uniform(0.4, 1.6),
        "learner/rollout_trainer_logprob_diff": 1e-5 * draw.uniform(0.5, 2),
        "learner/rollout_trainer_logprob_diff_p99": 3e-6 * draw.uniform(0.5, 2),
        "learner/rollout_trainer_logprob_diff_mean": 4e-7 * draw.uniform(0.5, 2),
        "learner/policy_grad_norm": draw.uniform(0.4, 1.2),
        "learner/critic_grad_norm": draw.uniform(2, 9),
        "learner/explained_variance": 0.8 * step / steps * draw.uniform(0.8, 1.1),
        "length/completion/mean": 70 + 20 * draw.random(),
        "length/completion/p90": 120 + 20 * draw.random(),
        "length/prompt/mean": 110 - 40 * step / steps,
        "rollout/cut_short": 0.05 * draw.random(),
        "rollout/tokens_per_s": 4000 * draw.uniform(0.9, 1.1),
        "sandbox/program_ms": 20.0,
        "seconds/rollout": generated,
        "seconds/sandbox": judged,
        "seconds/learn": learned,
        "seconds/broadcast": 0.1,
        "seconds/step": generated + judged + learned + 0.1 - 1.1,
        "overlap": 0.35 * draw.uniform(0.9, 1.1),
        "ledger/asked": 128.0,
        "ledger/trained": 125.0 if step == 2 * steps // 3 else 128.0,
        "ledger/dropped": 3.0 if step == 2 * steps // 3 else 0.0,
        "restarts/rollout": float(step >= steps // 3),
        "restarts/learner": 0.0,
        "restarts/sandbox": 0.0,
    }
    row |= {f"outcome/{name}": share for name, share in zip(OUTCOMES, shares, strict=True)}
    for name, masked in zip(OUTCOMES, (0.05, 0.12, 0.4, 0.9, 0.3), strict=True):
        row[f"learner/masked_share/{name}"] = masked * draw.uniform(0.9, 1.1)
    for tier in TIERS:
        of_tier = [stages[key] for key, (its, _) in problems.items() if its == tier]
        row[f"pass_rate/tier/{tier}"] = rates[tier]
        row[f"pass_rate/full_task/{tier}"] = 0.7 * rates[tier]
        row[f"curriculum/full_task_share/{tier}"] = of_tier.count(-1) / len(of_tier)
    row["curriculum/full_task_share"] = list(stages.values()).count(-1) / len(stages)
    for number in range(4):
        row[f"pass_rate/stages_left/{number}"] = min(1.0, passed * (0.7 + 0.12 * number))
    return row


def counts(step: int, steps: int, speed: float, draw: random.Random) -> dict[str, Any]:
    """Four samples of each of 60 problems."""
    problems = {}
    for number in range(60):
        tier = TIERS[number % 3]
        passed = sum(draw.random() < level(step, steps, speed, tier) for _ in range(4))
        counted = {"tier": tier, "digest": f"{number:016x}", "samples": 4, "judged": 4}
        problems[f"held/{number}"] = counted | {"passed": passed}
    return {"step": step, "time": LATER, "suite": "heldout", "problems": problems}
