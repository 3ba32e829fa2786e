"""The programs that the sandbox's benchmark runs: canonical solutions on their own tests, and the
worst case for a tracer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from curriculum.datasets.registry import FORMATS, read_source
from curriculum.problem import Test
from curriculum.synthetic.problems import synthetic_problems
from deploy.versions import ROOT
from sandbox import Job, Limits

LIMITS = Limits(wall_seconds=60, cpu_seconds=60)
HUMAN_EVAL, APPS = Path("humaneval") / "HumanEval.jsonl.gz", Path("apps_sample")
SYNTHETIC_PER_TIER = 34
"""102 programs in all."""


TIGHT_LOOP = """\
def f(n):
    t = 0
    i = 0
    while i < n:
        if i & 3:
            t += i
        else:
            t ^= i
        i += 1
    return t
"""


class Corpus(NamedTuple):
    """Jobs whose programs pass."""

    name: str
    """Which data they are from."""
    jobs: tuple[Job, ...]


def bench_corpus() -> Corpus:
    """HumanEval's problems whose asserts are plain calls and the APPS samples, all of them.

    They are read from the folder that `STEPCODER_DATA` names (default `../shared/data` beside the
    checkout). Where it has no HumanEval, the corpus is problems of the bundled generator.
    """
    folder = Path(os.environ.get("STEPCODER_DATA", ROOT.parent / "shared" / "data"))
    if (folder / HUMAN_EVAL).exists():
        human_eval = read_source(folder / HUMAN_EVAL, FORMATS["human_eval"])
        problems = [problem for problem in human_eval if problem.assertions is None]
        name = f"HumanEval ({len(problems)}, as calls)"
        if (folder / APPS).is_dir():
            samples = list(read_source(folder / APPS, FORMATS["apps"]))
            problems += samples
            name += f" and APPS samples ({len(samples)})"
    else:
        problems = synthetic_problems(seed=0, per_tier=SYNTHETIC_PER_TIER)
        name = "bundled generator"
    jobs = (Job.for_program(problem, problem.program, LIMITS) for problem in problems)
    return Corpus(name, tuple(jobs))


def tight_loop(rounds: int = 150_000) -> Job:
    """The worst case for a tracer: one long call, many executions of few statements."""
    namespace: dict[str, Any] = {}
    exec(TIGHT_LOOP, namespace)
    tests = (Test(input=[rounds], output=namespace["f"](rounds)),)
    return Job(id="tight", source=TIGHT_LOOP, fn_name="f", tests=tests)


def stdin_job(tests: int) -> Job:
    """A program of a few lines that reads stdin, on `tests` tests."""
    source = "n = int(input())\nprint(n, sum(map(int, input().split())))\n"
    cases = tuple(Test(input=f"2\n{n} 1\n", output=f"2 {n + 1}\n") for n in range(tests))
    return Job(id=f"stdin-{tests}", source=source, fn_name=None, tests=cases, limits=LIMITS)
