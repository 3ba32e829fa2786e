"""The long run: many programs in a row while containers are killed at random."""

import contextlib
import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from docker.errors import DockerException

from curriculum.problem import Test
from sandbox.backends.docker import DockerRunner
from sandbox.config import Limits, SandboxConfig
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
    """Open descriptors at the end less those after a tenth."""


def soak(programs: int, seed: int = 0, told: Callable[[], None] = lambda: None) -> Soak:
    """Run `programs` on two slots; one in a hundred meets the sudden death of its container.

    `told` is called after each, from the slots' threads.
    """
    first = _stretch(range(programs // 10), seed, told)  # fills caches
    memory, descriptors = _resident_mb(), _descriptors()
    seen = first + _stretch(range(programs // 10, programs), seed + SLOTS, told)
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


def _stretch(numbers: range, seed: int, told: Callable[[], None]) -> list[Seen]:
    with ThreadPoolExecutor(SLOTS) as threads:
        parts = [threads.submit(_slot, slot, numbers, seed, told) for slot in range(SLOTS)]
        seen = [one for part in parts for one in part.result()]
    gc.collect()
    return seen


def _slot(slot: int, numbers: range, seed: int, told: Callable[[], None]) -> list[Seen]:
    chance = random.Random(seed + slot)
    tests = (Test(input=[3], output=9), Test(input=[5], output=25))
    config = SandboxConfig(backend="docker", limits=Limits(wall_seconds=5))
    seen: list[Seen] = []
    killers: list[threading.Thread] = []
    with Sandbox(config, slot=slot, run="soak") as sandbox:
        for number in numbers[slot::SLOTS]:
            runner = sandbox._runner
            killed = chance.random() < KILLED_SHARE and isinstance(runner, DockerRunner)
            if killed and isinstance(runner, DockerRunner):
                killer = threading.Thread(target=_kill, args=(runner,))
                killer.start()
                if chance.random() < 0.5:  # before the next job begins, or while it or another runs
                    killer.join()
                killers.append(killer)
            source, expected = _PROGRAMS[number % len(_PROGRAMS)]
            job = Job(id=f"soak-{number}", source=source, fn_name="f", tests=tests)
            verdict = sandbox.run(job)
            seen.append((verdict.job_id, verdict.outcome is expected, killed))
            told()
    for killer in killers:
        killer.join()
    return seen


def _kill(runner: DockerRunner) -> None:
    with contextlib.suppress(DockerException):  # it may be gone by then
        runner.container.kill()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
