"""The sandbox's figures: throughput against the other ways, what coverage costs, what holds.

Rates are measured in turn, A B A B ..., in one run; a figure is the median of its rounds' ratios.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from curriculum.problem import Test
from deploy.bench.record import Figure
from deploy.bench.sandbox_loop import tight_loop
from deploy.bench.sandbox_rivals import Rivals
from deploy.bench.sandbox_soak import soak
from sandbox.backends.docker import DockerBackend, DockerRunner
from sandbox.config import Limits, SandboxConfig
from sandbox.job import Job
from sandbox.sandbox import Sandbox
from sandbox.verdict import Outcome, Verdict

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests" / "sandbox"
NOT_ATTACKS = ("honest_programs", "closing_the_standard_files")
ENDLESS = ("while True: pass\n", "import time\ntime.sleep(60)\n", "x = 9 ** 9 ** 9\n")
DEADLINE_S = 0.2
SUITE_SECONDS = 600


class Progress(Protocol):
    """Where the benchmark is, for a person who waits."""

    def stage(self, what: str, steps: int) -> None:
        """The next part begins; it has that many steps."""
        ...

    def step(self) -> None:
        """One more step of it is done."""
        ...


def measure(
    jobs: Sequence[Job], corpus: str, rounds: int, soak_programs: int, progress: Progress
) -> Iterable[Figure]:
    """Every figure, each as soon as it is known.

    `jobs` are programs that pass, of the corpus of that name. Raises SandboxError where no Docker
    engine answers.
    """
    tests = sum(len(job.tests) for job in jobs)
    yield Figure("corpus_programs", len(jobs), f"programs, {tests} tests", corpus, None, None, True)
    config = SandboxConfig(backend="docker")
    with Sandbox(config, slot=0, run="bench") as sandbox:
        yield from throughput(sandbox, jobs, rounds, progress)
        yield deadlines(sandbox, 12 * rounds, progress)
    # Its runners' processor time is read from one process each: none is replaced meanwhile.
    lasting = config.model_copy(update={"recycle_after": 100_000})
    bare = lasting.model_copy(update={"coverage": False})
    with (
        Sandbox(lasting, slot=0, run="bench") as covered,
        Sandbox(bare, slot=1, run="bench") as uncovered,
    ):
        yield from coverage_cost(covered, uncovered, jobs, 4 * rounds, progress)
    if SUITE.is_dir():
        progress.stage("the corpus of constructs and the attacks", 2)
        yield from exactness()
        progress.step()
        yield from attacks()
        progress.step()
    yield from endurance(soak_programs, progress)


def throughput(
    sandbox: Sandbox, jobs: Sequence[Job], rounds: int, progress: Progress
) -> Iterable[Figure]:
    """Programs per second of one slot, coverage on, against four other ways to run the same ones.

    Against slow ways a few programs are enough, others in every round.
    """
    samples: dict[str, list[float]] = {"run": [], "exec": [], "subprocess": [], "in_process": []}
    added: list[float] = []
    order = random.Random(0).sample(jobs, len(jobs))
    progress.stage("throughput against other ways to run a program", rounds * len(samples))
    with Rivals(DockerBackend(sandbox.config).image) as rivals:
        _rate(sandbox, jobs)
        for turn in range(rounds):
            some = [order[(turn * 10 + i) % len(order)] for i in range(10)]
            for name, rival, few in (
                ("run", rivals.docker_run, some[:3]),
                ("exec", rivals.docker_exec, some[:5]),
                ("subprocess", rivals.subprocess, some),
                ("in_process", rivals.in_process, jobs),
            ):
                # Ours before and after, so that a load that comes and goes falls on both.
                often = list(few) * max(1, 50 // len(few))
                first, other, second = _rate(sandbox, often), rival(few), _rate(sandbox, often)
                ours = 2 / (1 / first + 1 / second)
                samples[name].append(ours / other)
                if name == "in_process":
                    added.append((1 / ours - 1 / other) * 1e3)
                progress.step()
    yield ratio("vs_docker_run", samples["run"], "docker run per program", 80, 120)
    yield ratio("vs_docker_exec", samples["exec"], "warm docker exec per program", 25, 40)
    yield ratio("vs_subprocess", samples["subprocess"], "fresh python -I per program", 10, 17)
    yield ratio("vs_in_process", samples["in_process"], "bare exec, no isolation", 0.30, 0.45)
    cost = statistics.median(added)
    told = "bare exec: what isolation and coverage add"
    yield Figure("added_ms_per_program", cost, "ms", told, None, None, True, tuple(added))


def coverage_cost(
    sandbox: Sandbox, uncovered: Sandbox, jobs: Sequence[Job], rounds: int, progress: Progress
) -> Iterable[Figure]:
    """Processor time of runner and programs with coverage over that without."""
    progress.stage("the cost of coverage", rounds)
    loop, typical, tight = [tight_loop()], [], []
    for turn in range(rounds):
        # Whoever goes second meets warmer caches: in turn.
        pair = (sandbox, uncovered) if turn % 2 else (uncovered, sandbox)
        for work, samples in ((jobs, typical), (loop, tight)):
            used = {slot.slot: _used(slot, work) for slot in pair}
            samples.append(used[sandbox.slot] / used[uncovered.slot])
        progress.step()
    against = "the same without coverage"
    yield ratio("coverage_cpu_ratio", typical, against, 1.08, 1.03, lower=True)
    yield ratio("coverage_tight_loop_ratio", tight, against, 1.03, 1.00, lower=True)


def deadlines(sandbox: Sandbox, samples: int, progress: Progress) -> Figure:
    """From a program's deadline to its verdict, on the host's clock."""
    progress.stage("deadlines", samples)
    over, limits = [], Limits(wall_seconds=DEADLINE_S)
    tests = (Test(input="", output=""),)
    for number in range(samples):
        source = ENDLESS[number % len(ENDLESS)]
        job = Job(id="late", source=source, fn_name=None, tests=tests, limits=limits)
        began = time.perf_counter()
        if sandbox.run(job).outcome is not Outcome.timeout:
            raise AssertionError("an endless program did not time out")
        over.append((time.perf_counter() - began - DEADLINE_S) * 1e3)
        progress.step()
    late = sorted(over)[int(0.99 * (len(over) - 1) + 0.5)]
    name = "deadline_overshoot_p99_ms"
    return Figure(name, late, "ms", f"a limit of {DEADLINE_S} s", 150, 50, late <= 150, (*over,))


def exactness() -> Iterable[Figure]:
    """Coverage on the corpus of constructs against an oracle that marks every statement."""
    cases = _suite("test_coverage.py", "test_coverage_agrees_with_the_oracle_on and docker")
    found = {"false": 0, "missed": 0}
    constructs = 0
    for case in cases:
        told = {p.get("name"): int(p.get("value", 0)) for p in case.iter("property")}
        constructs += "false" in told
        for kind in found:
            found[kind] += told.get(kind, 0)
    yield count("coverage_constructs", constructs, "constructs", at_least=40)
    yield count("coverage_false", found["false"], "statements", at_least=None)
    yield count("coverage_missed", found["missed"], "statements", at_least=None)


def attacks() -> Iterable[Figure]:
    """Attack programs in containers, each followed by an honest job that must be unharmed."""
    cases = [
        case
        for case in _suite("test_attacks.py", "docker or no_process_is_left")
        if not any(word in case.get("name", "") for word in NOT_ATTACKS)
    ]
    lost = sum(any(case.find(kind) is not None for kind in ("failure", "error")) for case in cases)
    yield count("attacks_tried", len(cases), "programs", at_least=60)
    yield count("attacks_succeeded", lost, "programs", at_least=None)


def endurance(programs: int, progress: Progress) -> Iterable[Figure]:
    """See `sandbox.soak`; the memory may drift by 20 MB, caches filling up."""
    progress.stage(f"{programs} programs in a row, containers killed at random", programs)
    seen = soak(programs, told=progress.step)
    yield count("soak_programs", seen.programs, f"programs, {seen.kills} kills", at_least=20_000)
    yield count("verdicts_lost", seen.lost, "verdicts", at_least=None)
    yield count("verdicts_duplicated", seen.duplicated, "verdicts", at_least=None)
    yield count("verdicts_wrong", seen.wrong, "verdicts", at_least=None)
    drift = seen.memory_drift_mb
    yield Figure("memory_drift_mb", drift, "MB", "after a tenth of it", 20, 0, drift <= 20)
    yield count("fd_drift", seen.fd_drift, "descriptors", at_least=None)


def ratio(
    name: str,
    samples: Sequence[float],
    baseline: str,
    target: float,
    moonshot: float,
    lower: bool = False,
) -> Figure:
    """The median of ratios; `lower`: smaller is better."""
    value = statistics.median(samples)
    ok = value <= target if lower else value >= target
    return Figure(name, value, "x", baseline, target, moonshot, ok, tuple(samples))


def count(name: str, value: int, unit: str, at_least: int | None) -> Figure:
    """A number that must reach `at_least`, or be 0 where that is None."""
    ok = value <= 0 if at_least is None else value >= at_least
    return Figure(name, value, unit, "", at_least or 0, None, ok, (value,))


def _rate(sandbox: Sandbox, jobs: Sequence[Job]) -> float:
    """Programs per second; all of them must pass."""
    began = time.perf_counter()
    for job in jobs:
        _passed(sandbox, job)
    return len(jobs) / (time.perf_counter() - began)


def _passed(sandbox: Sandbox, job: Job) -> Verdict:
    verdict = sandbox.run(job)
    if verdict.outcome is not Outcome.passed:
        raise AssertionError(f"{job.id}: {verdict.outcome}: {verdict.error}")
    return verdict


def _used(sandbox: Sandbox, jobs: Sequence[Job]) -> float:
    """Processor seconds for the jobs: those of the programs' processes and of their runner."""
    sandbox.start()
    runner = sandbox._runner
    assert isinstance(runner, DockerRunner)
    runner.container.reload()
    # The kernel's account of the runner itself, in nanoseconds; its engine must be on this machine.
    account = Path(f"/proc/{runner.container.attrs['State']['Pid']}/schedstat")
    before = int(account.read_text().split()[0])
    children = sum(_passed(sandbox, job).cpu_seconds for job in jobs)
    return children + (int(account.read_text().split()[0]) - before) / 1e9


def _suite(module: str, selection: str) -> list[ElementTree.Element]:
    """Run some of the tests; their cases as JUnit tells them."""
    with tempfile.TemporaryDirectory(prefix="stepcoder-bench-") as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE / module),
             "-k", selection, f"--junitxml={report}"],
            cwd=ROOT, capture_output=True, timeout=SUITE_SECONDS, check=False,
        )  # fmt: skip
        cases = list(ElementTree.parse(report).iter("testcase"))
    return [case for case in cases if case.find("skipped") is None]
