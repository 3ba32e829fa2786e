"""The programs that the sandbox's benchmark runs: solutions of real data, on their own tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from curriculum.datasets.registry import Skipped, read_source
from curriculum.synthetic.problems import synthetic_problems
from deploy.versions import ROOT
from sandbox import Job, Limits

LIMITS = Limits(wall_seconds=60, cpu_seconds=60)
HUMAN_EVAL, APPS = Path("humaneval") / "HumanEval.jsonl.gz", Path("apps_sample")
SYNTHETIC_PER_TIER = 34
"""102 programs in all."""


class Corpus(NamedTuple):
    """Jobs whose programs are right, and what they are."""

    name: str
    jobs: tuple[Job, ...]


def bench_corpus() -> Corpus:
    """HumanEval's problems whose asserts are plain calls and the APPS samples, where they are.

    `STEPCODER_DATA` (default `../shared/data` beside the checkout) is looked into; without it, the
    bundled generator's problems. Nothing is chosen by weight.
    """
    folder = Path(os.environ.get("STEPCODER_DATA", ROOT.parent / "shared" / "data"))
    if (folder / HUMAN_EVAL).exists():
        skipped = Skipped()
        problems = list(read_source(folder / HUMAN_EVAL, "human_eval", skipped=skipped))
        name = f"HumanEval ({len(problems)}, as calls)"
        if (folder / APPS).is_dir():
            samples = list(read_source(folder / APPS, "apps", skipped=skipped))
            problems += samples
            name += f" and APPS samples ({len(samples)})"
    else:
        problems = synthetic_problems(seed=0, per_tier=SYNTHETIC_PER_TIER)
        name = "bundled generator"
    return Corpus(name, tuple(Job.for_program(each, each.program, LIMITS) for each in problems))
