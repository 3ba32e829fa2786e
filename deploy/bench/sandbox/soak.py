"""The soak: many programs in a row while containers are killed at random.

It shows what only a long run can: no verdict is lost, duplicated or wrong, and neither memory nor
file descriptors grow.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from docker.errors import DockerException

from curriculum.problem import Test
from deploy.bench.record import Figure, count
from deploy.progress import StageProgress
from sandbox.backends.docker import DockerRunner
from sandbox.config import Limits, SandboxConfig
from sandbox.job import Job
from sandbox.sandbox import Sandbox
from sandbox.verdict import Outcome

ENDURANCE_PROGRAMS = 20_000
"""Programs of a soak that proves endurance (`make soak`)."""
SHORT_SOAK_PROGRAMS = 2_000
"""Programs of the soak inside the sandbox's benchmark."""
KILLED_SHARE = 0.01
"""Share of the programs whose container is killed."""
SLOTS = 2
MEMORY_DRIFT_MB = 20
"""What caches may add to the resident memory after the first tenth [MB]."""
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
    """Containers killed."""
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


@dataclass(frozen=True, slots=True)
class JobVerdict:
    """One verdict of the soak."""

    job_id: str
    correct: bool
    """Whether it is the program's known outcome."""
    container_killed: bool
    """Whether the slot's container was killed just before or during the job."""


def measure(programs: int) -> Iterator[Figure]:
    """The figures of a soak of its own; fewer programs than `ENDURANCE_PROGRAMS` miss the target.

    Raises:
        SandboxError: no Docker engine answers.
    """
    with StageProgress() as progress:
        yield from endurance(programs, progress, at_least=ENDURANCE_PROGRAMS)


def endurance(
    programs: int, progress: StageProgress, at_least: int | None = None
) -> Iterator[Figure]:
    """Soak, and judge what it showed.

    Args:
        programs: how many run.
        progress: counts them.
        at_least: target of their number, if it has one.
    """
    progress.begin(f"{programs} programs in a row, containers killed at random", programs)
    seen = soak(programs, on_verdict=progress.step)
    unit = f"programs, {seen.kills} kills"
    reached = at_least is None or seen.programs >= at_least
    yield Figure("soak_programs", seen.programs, unit, "", at_least, None, reached)
    yield count("verdicts_lost", seen.lost, "verdicts", at_least=None)
    yield count("verdicts_duplicated", seen.duplicated, "verdicts", at_least=None)
    yield count("verdicts_wrong", seen.wrong, "verdicts", at_least=None)
    drift = seen.memory_drift_mb
    against = "after a tenth of it"
    within = drift <= MEMORY_DRIFT_MB
    yield Figure("memory_drift_mb", drift, "MB", against, MEMORY_DRIFT_MB, 0, within)
    yield count("fd_drift", seen.fd_drift, "descriptors", at_least=None)


def soak(programs: int, seed: int = 0, on_verdict: Callable[[], None] = lambda: None) -> Soak:
    """Run `programs` on two slots; the container of one in a hundred is killed.

    Args:
        programs: how many run.
        seed: decides which containers are killed.
        on_verdict: called after each program, from the slots' threads.
    """
    # The first tenth fills caches, so that what grows after it is a leak.
    first = _run_slots(range(programs // 10), seed, on_verdict)
    memory, descriptors = _resident_mb(), _descriptors()
    verdicts = first + _run_slots(range(programs // 10, programs), seed + SLOTS, on_verdict)
    by_job = Counter(verdict.job_id for verdict in verdicts)
    return Soak(
        programs=programs,
        kills=sum(verdict.container_killed for verdict in verdicts),
        lost=sum(f"soak-{number}" not in by_job for number in range(programs)),
        duplicated=sum(times - 1 for times in by_job.values()),
        wrong=sum(not verdict.correct for verdict in verdicts),
        memory_drift_mb=_resident_mb() - memory,
        fd_drift=_descriptors() - descriptors,
    )


def _run_slots(numbers: range, seed: int, on_verdict: Callable[[], None]) -> list[JobVerdict]:
    with ThreadPoolExecutor(SLOTS) as threads:
        slots = [
            threads.submit(_run_slot, slot, numbers[slot::SLOTS], seed, on_verdict)
            for slot in range(SLOTS)
        ]
        verdicts = [verdict for slot in slots for verdict in slot.result()]
    gc.collect()
    return verdicts


def _run_slot(
    slot: int, numbers: range, seed: int, on_verdict: Callable[[], None]
) -> list[JobVerdict]:
    chance = random.Random(seed + slot)
    tests = (Test(input=[3], output=9), Test(input=[5], output=25))
    config = SandboxConfig(backend="docker", limits=Limits(wall_seconds=5))
    verdicts: list[JobVerdict] = []
    killers: list[threading.Thread] = []
    with Sandbox(config, slot=slot, run="soak") as sandbox:
        for number in numbers:
            runner = sandbox._runner
            killed = chance.random() < KILLED_SHARE and isinstance(runner, DockerRunner)
            if killed and isinstance(runner, DockerRunner):
                killer = threading.Thread(target=_kill, args=(runner,))
                killer.start()
                # Half of the kills end before the job begins; the others strike while a job runs.
                if chance.random() < 0.5:
                    killer.join()
                killers.append(killer)
            source, expected = _PROGRAMS[number % len(_PROGRAMS)]
            job = Job(id=f"soak-{number}", source=source, fn_name="f", tests=tests)
            verdict = sandbox.run(job)
            verdicts.append(JobVerdict(verdict.job_id, verdict.outcome is expected, killed))
            on_verdict()
    for killer in killers:
        killer.join()
    return verdicts


def _kill(runner: DockerRunner) -> None:
    with contextlib.suppress(DockerException):  # it may be gone by then
        runner.container.kill()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
