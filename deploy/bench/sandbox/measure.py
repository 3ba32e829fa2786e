"""The sandbox's benchmark: throughput against other ways to run a program, the cost of coverage,
deadlines, and what must never happen (false coverage, a successful attack, a lost verdict).

Rates are measured in turn, A B A B ..., in one run; a figure is the median of its rounds' ratios.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path

from curriculum.problem import Test
from deploy.bench.record import Figure, count, ratio
from deploy.bench.sandbox.answers import answers
from deploy.bench.sandbox.baselines import Baselines
from deploy.bench.sandbox.corpus import bench_corpus, stdin_job, tight_loop
from deploy.bench.sandbox.libraries import numpy_cost
from deploy.bench.sandbox.soak import endurance
from deploy.progress import StageProgress
from deploy.versions import ROOT
from sandbox.backends.docker import DockerBackend, DockerRunner
from sandbox.config import Limits, SandboxConfig
from sandbox.job import Job
from sandbox.sandbox import Sandbox
from sandbox.verdict import Outcome, Verdict

SUITE = ROOT / "tests" / "sandbox"
COVERAGE_TESTS = ("runner/test_coverage.py", "test_coverage_agrees_with_the_oracle_on and docker")
"""Module and selection (`pytest -k`) of the tests that report false and missed statements."""
ATTACK_TESTS = ("attacks", "docker or privileges or cannot_read")
"""Folder and selection of the tests that attack a container."""
NOT_ATTACKS = ("honest_programs", "closing_the_standard_files", "[process")
"""Parts of the names of tests in the attacks' folder that attack no container."""
INTERPRETER_TESTS = ("test_interpreter_differences.py", "ends_as_under_its_own_interpreter")
"""Module and selection of the tests that compare the sandbox with `python3 program.py`."""
ENDLESS = ("while True: pass\n", "import time\ntime.sleep(60)\n", "x = 9 ** 9 ** 9\n")
DEADLINE_S = 0.2
SUITE_TIMEOUT_S = 600
STDIN_TESTS = 100
ADDED_MS_PER_STDIN_TEST = 1.5


def measure(rounds: int, soak_programs: int) -> Iterator[Figure]:
    """Every figure, each as soon as it is known.

    Args:
        rounds: turns of each comparison.
        soak_programs: programs of the soak at the end (`sandbox_soak`).

    Raises:
        SandboxError: no Docker engine answers.
    """
    corpus = bench_corpus()
    jobs = corpus.jobs
    tests = sum(len(job.tests) for job in jobs)
    size = f"programs, {tests} tests"
    yield Figure("corpus_programs", len(jobs), size, corpus.name, None, None, True)
    with StageProgress() as progress:
        config = SandboxConfig(backend="docker")
        with Sandbox(config, slot=0, run="bench") as sandbox:
            yield from throughput(sandbox, jobs, rounds, progress)
            yield stdin_tests(sandbox, rounds, progress)
            yield deadlines(sandbox, 12 * rounds, progress)
        yield numpy_cost(2 * rounds, progress)
        # The processor time of a runner is read from its one process: none is replaced meanwhile.
        lasting = config.model_copy(update={"recycle_after": 100_000})
        bare = lasting.model_copy(update={"coverage": False})
        with (
            Sandbox(lasting, slot=0, run="bench") as covered,
            Sandbox(bare, slot=1, run="bench") as uncovered,
        ):
            yield from coverage_cost(covered, uncovered, jobs, 4 * rounds, progress)
        if SUITE.is_dir():
            progress.begin(
                "the corpora of constructs, attacks, interpreter programs and answers", 4
            )
            for figures in (exactness, attacks, interpreter, answers):
                yield from figures()
                progress.step()
        yield from endurance(soak_programs, progress)


def throughput(
    sandbox: Sandbox, jobs: Sequence[Job], rounds: int, progress: StageProgress
) -> Iterator[Figure]:
    """Programs per second of one slot, coverage on, against four other ways to run the same ones.

    The slow ways run a few programs, others in every round.
    """
    samples: dict[str, list[float]] = {"run": [], "exec": [], "subprocess": [], "in_process": []}
    added: list[float] = []
    order = random.Random(0).sample(jobs, len(jobs))
    progress.begin("throughput against other ways to run a program", rounds * len(samples))
    with Baselines(DockerBackend(sandbox.config).image) as baselines:
        _rate(sandbox, jobs)
        for turn in range(rounds):
            some = [order[(turn * 10 + i) % len(order)] for i in range(10)]
            for name, baseline, few in (
                ("run", baselines.docker_run, some[:3]),
                ("exec", baselines.docker_exec, some[:5]),
                ("subprocess", baselines.subprocess, some),
                ("in_process", baselines.in_process, jobs),
            ):
                # Ours before and after, so that a load that comes and goes falls on both.
                repeated = list(few) * max(1, 50 // len(few))
                before, other, after = (
                    _rate(sandbox, repeated),
                    baseline(few),
                    _rate(sandbox, repeated),
                )
                ours = 2 / (1 / before + 1 / after)
                samples[name].append(ours / other)
                if name == "in_process":
                    added.append((1 / ours - 1 / other) * 1e3)
                progress.step()
    yield ratio("vs_docker_run", samples["run"], "docker run per program", 100, 120)
    yield ratio("vs_docker_exec", samples["exec"], "warm docker exec per program", 25, 40)
    yield ratio("vs_subprocess", samples["subprocess"], "fresh python -I per program", 10, 17)
    yield ratio("vs_in_process", samples["in_process"], "bare exec, no isolation", 0.30, 0.45)
    cost = statistics.median(added)
    against = "bare exec: what isolation and coverage add"
    yield Figure("added_ms_per_program", cost, "ms", against, None, None, True, tuple(added))


def stdin_tests(sandbox: Sandbox, rounds: int, progress: StageProgress) -> Figure:
    """What a stdin test costs beyond the program's first, over the same run in one interpreter."""
    progress.begin("the cost of a test on stdin", rounds)
    one, many = stdin_job(1), stdin_job(STDIN_TESTS)
    added: list[float] = []
    with Baselines(DockerBackend(sandbox.config).image) as baselines:
        for _ in range(rounds):
            few_s = min(1 / _rate(sandbox, [one] * 10) for _ in range(3))
            many_s = min(1 / _rate(sandbox, [many]) for _ in range(3))
            bare_s = 1 / baselines.in_process([many])
            per_test = (many_s - few_s) / (STDIN_TESTS - 1)
            added.append((per_test - bare_s / STDIN_TESTS) * 1e3)
            progress.step()
    cost = statistics.median(added)
    against = "the same program in one interpreter"
    ok = cost <= ADDED_MS_PER_STDIN_TEST
    return Figure(
        "added_ms_per_stdin_test", cost, "ms", against, ADDED_MS_PER_STDIN_TEST, None, ok,
        tuple(added),
    )  # fmt: skip


def coverage_cost(
    sandbox: Sandbox, uncovered: Sandbox, jobs: Sequence[Job], rounds: int, progress: StageProgress
) -> Iterator[Figure]:
    """Processor time of runner and programs with coverage over that without."""
    progress.begin("the cost of coverage", rounds)
    loop = [tight_loop()]
    typical: list[float] = []
    tight: list[float] = []
    for turn in range(rounds):
        # The second of a pair finds warmer caches, so the order alternates.
        pair = (sandbox, uncovered) if turn % 2 else (uncovered, sandbox)
        for work, samples in ((jobs, typical), (loop, tight)):
            used = {slot.slot: _cpu_seconds(slot, work) for slot in pair}
            samples.append(used[sandbox.slot] / used[uncovered.slot])
        progress.step()
    against = "the same without coverage"
    yield ratio("coverage_cpu_ratio", typical, against, 1.08, 1.03, lower=True)
    yield ratio("coverage_tight_loop_ratio", tight, against, 1.03, 1.00, lower=True)


def deadlines(sandbox: Sandbox, samples: int, progress: StageProgress) -> Figure:
    """From a program's deadline to its verdict, on the host's clock."""
    progress.begin("deadlines", samples)
    overshoot_ms = []
    limits = Limits(wall_seconds=DEADLINE_S)
    tests = (Test(input="", output=""),)
    for number in range(samples):
        source = ENDLESS[number % len(ENDLESS)]
        job = Job(id="late", source=source, fn_name=None, tests=tests, limits=limits)
        began = time.perf_counter()
        if sandbox.run(job).outcome is not Outcome.timeout:
            raise AssertionError("an endless program did not time out")
        overshoot_ms.append((time.perf_counter() - began - DEADLINE_S) * 1e3)
        progress.step()
    p99 = sorted(overshoot_ms)[int(0.99 * (len(overshoot_ms) - 1) + 0.5)]
    return Figure(
        "deadline_overshoot_p99_ms", p99, "ms", f"a limit of {DEADLINE_S} s", 150, 50, p99 <= 150,
        tuple(overshoot_ms),
    )  # fmt: skip


def exactness() -> Iterator[Figure]:
    """Coverage on the corpus of constructs against an oracle that marks every statement."""
    reported = [
        {entry.get("name"): int(entry.get("value", 0)) for entry in case.iter("property")}
        for case in _suite(*COVERAGE_TESTS)
    ]
    constructs = [numbers for numbers in reported if "false" in numbers]
    yield count("coverage_constructs", len(constructs), "constructs", at_least=40)
    for kind in ("false", "missed"):
        statements = sum(numbers.get(kind, 0) for numbers in constructs)
        yield count(f"coverage_{kind}", statements, "statements", at_least=None)


def attacks() -> Iterator[Figure]:
    """Attack programs in containers, each followed by an honest job that must be unharmed."""
    cases = [
        case
        for case in _suite(*ATTACK_TESTS)
        if not any(word in case.get("name", "") for word in NOT_ATTACKS)
    ]
    succeeded = [case for case in cases if _failed(case)]
    yield count("attacks_tried", len(cases), "programs", at_least=120)
    yield count("attacks_succeeded", len(succeeded), "programs", at_least=None)


def interpreter() -> Iterator[Figure]:
    """Programs whose end differs from that under `python3 program.py` in the same image."""
    cases = _suite(*INTERPRETER_TESTS)
    yield count("interpreter_programs", len(cases), "programs", at_least=80)
    yield count("interpreter_differences", sum(map(_failed, cases)), "programs", at_least=None)


def _failed(case: ElementTree.Element) -> bool:
    return any(case.find(kind) is not None for kind in ("failure", "error"))


def _rate(sandbox: Sandbox, jobs: Sequence[Job]) -> float:
    """Programs per second; all of them must pass."""
    began = time.perf_counter()
    for job in jobs:
        _run_passing(sandbox, job)
    return len(jobs) / (time.perf_counter() - began)


def _run_passing(sandbox: Sandbox, job: Job) -> Verdict:
    verdict = sandbox.run(job)
    if verdict.outcome is not Outcome.passed:
        raise AssertionError(f"{job.id}: {verdict.outcome}: {verdict.error}")
    return verdict


def _cpu_seconds(sandbox: Sandbox, jobs: Sequence[Job]) -> float:
    """Processor seconds that the jobs cost: of the programs' processes and of their runner."""
    sandbox.start()
    runner = sandbox._runner
    assert isinstance(runner, DockerRunner)
    runner.container.reload()
    # The kernel counts the runner's own time in nanoseconds; its engine must be on this machine.
    schedstat = Path(f"/proc/{runner.container.attrs['State']['Pid']}/schedstat")
    before = int(schedstat.read_text().split()[0])
    programs = sum(_run_passing(sandbox, job).cpu_seconds for job in jobs)
    return programs + (int(schedstat.read_text().split()[0]) - before) / 1e9


def _suite(module: str, selection: str) -> list[ElementTree.Element]:
    """Run some of the tests; their cases as in the JUnit report, without skipped ones.

    Raises:
        RuntimeError: pytest could not run them.
    """
    with tempfile.TemporaryDirectory(prefix="stepcoder-bench-") as folder:
        report = Path(folder) / "report.xml"
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE / module),
             "-k", selection, f"--junitxml={report}"],
            cwd=ROOT, capture_output=True, text=True, timeout=SUITE_TIMEOUT_S, check=False,
        )  # fmt: skip
        if ended.returncode not in (0, 1):  # 1: some tests failed, which is a figure
            raise RuntimeError(f"pytest {module} -k {selection!r}: {ended.stdout[-2000:]}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    return [case for case in cases if case.find("skipped") is None]
