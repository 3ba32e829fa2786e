"""The long run: many programs in a row while containers are killed at random."""

import gc
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from curriculum.problem import Test
from sandbox.config import Limits, SandboxConfig
from sandbox.docker_backend import DockerRunner
from sandbox.job import Job
from sandbox.sandbox import Sandbox
from sandbox.verdict import Outcome

KILLED_SHARE = 0.01
SLOTS = 2
_PROGRAMS = (
    ("def f(x):\n    return x * x\n", Outcome.passed),
    ("def f(x):\n    return x + x + 1\n", Outcome.failed),
    ("def f(x):\n    return x // 0\n", Outcome.runtime_error),
    ("def f(x:\n    return x\n", Outcome.compile_error),
)


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak showed."""

    programs: int
    kills: int
    lost: int
    """Jobs without a verdict."""
    duplicated: int
    """Verdicts beyond a job's first."""
    wrong: int
    """Verdicts that are not the known outcome, `infra_error` among them."""
    memory_drift_mb: float
    """Resident memory at the end less that after a tenth [MB]."""
    fd_drift: int
    """Open descriptors at the end less those after a tenth, by when, in a run of 20,000, the
    docker client's pool of 25 connections is full."""


def soak(programs: int, seed: int = 0) -> Soak:
    """Run `programs` on two slots; before one in a hundred, its slot's container is killed."""
    first = _stretch(range(programs // 10), seed)  # fills caches and connection pools
    memory, descriptors = _resident_mb(), _descriptors()
    seen = first + _stretch(range(programs // 10, programs), seed + SLOTS)
    verdicts = Counter(name for name, _, _ in seen)
    return Soak(
        programs=programs,
        kills=sum(killed for _, _, killed in seen),
        lost=sum(f"soak-{n}" not in verdicts for n in range(programs)),
        duplicated=sum(count - 1 for count in verdicts.values()),
        wrong=sum(not right for _, right, _ in seen),
        memory_drift_mb=_resident_mb() - memory,
        fd_drift=_descriptors() - descriptors,
    )


Seen = tuple[str, bool, bool]
"""A verdict's job, whether it is the known outcome, whether a kill came just before it."""


def _stretch(numbers: range, seed: int) -> list[Seen]:
    with ThreadPoolExecutor(SLOTS) as threads:
        parts = [threads.submit(_slot, slot, numbers, seed) for slot in range(SLOTS)]
        seen = [one for part in parts for one in part.result()]
    gc.collect()
    return seen


def _slot(slot: int, numbers: range, seed: int) -> list[Seen]:
    chance = random.Random(seed + slot)
    tests = (Test(input=[3], output=9), Test(input=[5], output=25))
    config = SandboxConfig(backend="docker", limits=Limits(wall_seconds=5))
    seen: list[Seen] = []
    with Sandbox(config, slot=slot, run="soak") as sandbox:
        for number in numbers[slot::SLOTS]:
            runner = sandbox._runner
            killed = chance.random() < KILLED_SHARE and isinstance(runner, DockerRunner)
            if killed and isinstance(runner, DockerRunner):
                runner.container.kill()
            source, expected = _PROGRAMS[number % len(_PROGRAMS)]
            job = Job(id=f"soak-{number}", source=source, fn_name="f", tests=tests)
            verdict = sandbox.run(job)
            seen.append((verdict.job_id, verdict.outcome is expected, killed))
    return seen


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
