"""Stored results of runs that never were: pass rates that a test chooses, sampled by a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from deploy.ablation.arms import ARMS
from deploy.ablation.stored import Machine, StoredEvaluation, StoredRun

TIERS = ("introductory", "interview", "competition")
STEPS = 6
SAMPLES = 4
RATES = {"introductory": 0.9, "interview": 0.6, "competition": 0.1}


def made_run(
    arm: str = "full",
    seed: int = 1,
    rates: Mapping[str, float] = RATES,
    problems: int = 20,
    rerun: int = 0,
    **changes: object,
) -> StoredRun:
    """A run of six steps with an evaluation every third one, at rates that grow to `rates`."""
    draw = random.Random(f"{arm} {seed} {rerun}")
    evaluations = [
        StoredEvaluation(
            step=step,
            samples=16 * step,
            tokens=700 * step,
            passed={
                tier: [
                    sum(draw.random() < rates[tier] * (step + 1) / (STEPS + 1) for _ in range(4))
                    for _ in range(problems)
                ]
                for tier in TIERS
            },
        )
        for step in (0, 3, STEPS)
    ]
    switch = dict(ARMS[arm].overrides)
    run = StoredRun(
        grid="made",
        arm=arm,
        seed=seed,
        rerun=rerun,
        switch=switch,
        settings={"loop.steps": STEPS} | switch,
        config_digest="0123456789ab",
        commit="0123456789abcdef0123456789abcdef01234567",
        date="2026-11-27",
        machine=Machine(processor="Made Processor", cores=2),
        isolation="docker",
        versions={"torch": "2.13.0"},
        heldout_digest="00112233",
        eval_samples=SAMPLES,
        steps=STEPS,
        samples={"asked": 96, "trained": 96, "dropped": 0},
        tokens=700 * STEPS,
        optimizer_steps=24,
        seconds={"total": 60.0},
        evaluations=evaluations,
        series={
            "outcome/passed": [0.1 * step for step in range(1, STEPS + 1)],
            "outcome/failed": [1 - 0.1 * step for step in range(1, STEPS + 1)],
            "learner/entropy": [0.5, None, 0.3, 0.2, 0.2, 0.1],
        },
    )
    return run.model_copy(update=changes)


def exact_run(arm: str, seed: int, passed: Sequence[int], rerun: int = 0) -> StoredRun:
    """A run whose held-out problems, all of one tier, end with these counts of four samples."""
    run = made_run(arm, seed, rerun=rerun)
    last = run.evaluations[-1]
    evaluations = [
        last.model_copy(update={"step": step, "samples": 16 * step,
                                "passed": {"competition": list(counts)}})
        for step, counts in ((0, [0] * len(passed)), (STEPS, passed))
    ]  # fmt: skip
    return run.model_copy(update={"evaluations": evaluations})
