"""The curriculum's benchmark: streaming a file of problems, and observing pass rates.

Times are processor time of one thread, so that other work on the machine hardly counts. Both sides
of a ratio read the same file in turn, a block at a time.
"""

from __future__ import annotations

import ast
import itertools
import json
import logging
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from curriculum.config import CurriculumConfig
from curriculum.datasets.problem_file import write_problems
from curriculum.problem import TIERS, Problem, Test
from curriculum.schedule.make import make_schedule
from curriculum.synthetic.language import sample_spec
from curriculum.synthetic.problems import run_on
from deploy.bench.curriculum.stream import load_and_cut
from deploy.bench.record import Figure
from deploy.versions import ROOT

SEED = 11
BLOCKS = 20
"""Parts of the file that the two sides of the ratio read in turn."""
SHORT_FILE_DIVISOR = 10
"""The long file of the memory figure has this many times the problems of the short one."""
MIN_PROBLEMS = SHORT_FILE_DIVISOR * BLOCKS
"""Fewest problems that can be measured."""
OBSERVED_PROBLEMS = 5_000
OBSERVATIONS_AT_A_TIME = 1_000
MEMORY_ROUNDS = 3
MEMORY_TIMEOUT_S = 1_800

logger = logging.getLogger(__name__)


def measure(problems: int, observations: int, cache: Path) -> Iterator[Figure]:
    """Every figure, each as soon as it is known.

    Args:
        problems: in the file that is streamed, at least `MIN_PROBLEMS`.
        observations: made with each schedule.
        cache: folder that keeps the files for the next time.
    """
    shorter = problems // SHORT_FILE_DIVISOR
    logger.info("files of %d and %d problems in %s ...", problems, shorter, cache)
    long, short = problem_file(problems, cache), problem_file(shorter, cache)
    logger.info("loading, validating and cutting, against bare parsing ...")
    yield load_cut_vs_bare_parse(long, problems)
    logger.info("peak memory at two lengths ...")
    yield peak_memory(long, short, problems)
    for mode in ("cccs", "none", "linear", "adaptive"):
        logger.info("%d observations, mode %s ...", observations, mode)
        yield observe_us(mode, observations)


def problem_file(problems: int, cache: Path) -> Path:
    """The seeded file of that many problems; written unless the cache has it."""
    path = cache / f"curriculum-{problems}-seed{SEED}.jsonl"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        write_problems(path, generate_problems(problems))
    return path


def generate_problems(problems: int) -> Iterator[Problem]:
    """Problems of the bundled generator, eight tests each; a question may occur more than once."""
    rng = random.Random(SEED)
    for number in range(problems):
        tier = TIERS[number % len(TIERS)]
        spec = sample_spec(rng, tier)
        inputs = [[rng.randint(-6, 14) for _ in range(rng.randint(2, 6))] for _ in range(8)]
        outputs = run_on(spec.solution(), inputs)
        yield Problem(
            id=f"bench/{number:07d}",
            question=spec.question,
            solution=spec.solution(),
            fn_name="f",
            tests=tuple(Test(input=[i], output=o) for i, o in zip(inputs, outputs, strict=True)),
            difficulty=tier,
            source="bench",
        )


def bare_parse(path: Path) -> Iterator[ast.Module]:
    """Stream the file through `json.loads` and `ast.parse` only: the baseline."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield ast.parse(json.loads(line)["solution"])


def load_cut_vs_bare_parse(path: Path, problems: int) -> Figure:
    """Speed of `load_and_cut` over that of `bare_parse`, a block of the file at a time.

    Raises:
        AssertionError: the file does not hold exactly `problems` problems.
    """
    ours, bare, ratios = load_and_cut(path), bare_parse(path), []
    for block in range(BLOCKS):
        count = problems // BLOCKS + (problems % BLOCKS if block == BLOCKS - 1 else 0)
        # The second of a pair finds warmer caches, so the order alternates.
        pair = (ours, bare) if block % 2 else (bare, ours)
        seconds = {id(stream): _seconds(stream, count) for stream in pair}
        ratios.append(seconds[id(bare)] / seconds[id(ours)])
    if next(ours, None) is not None or next(bare, None) is not None:
        raise AssertionError(f"{path} holds more than {problems} problems")
    value, target = statistics.median(ratios), 0.5
    against = f"json.loads + ast.parse, {problems} problems"
    name = "load_cut_vs_bare_parse"
    return Figure(name, value, "x", against, target, 0.8, value >= target, tuple(ratios))


def peak_memory(long: Path, short: Path, problems: int) -> Figure:
    """Peak memory of a process that streams the long file, against that for the short one."""
    peaks: dict[Path, list[float]] = {short: [], long: []}
    for _ in range(MEMORY_ROUNDS):
        for path, measured in peaks.items():
            measured.append(_peak_mb(path))
    value, of_short = statistics.median(peaks[long]), statistics.median(peaks[short])
    target = round(1.05 * of_short, 1)  # 5 % for the granularity of the allocator
    against = f"1.05 x that for {problems // SHORT_FILE_DIVISOR} problems ({of_short:.1f})"
    return Figure(
        "peak_memory_mb", value, "MB", against, target, None, value <= target, tuple(peaks[long])
    )


def observe_us(mode: str, observations: int) -> Figure:
    """Microseconds per observation, without the time of sampling."""
    problems = list(generate_problems(OBSERVED_PROBLEMS))
    schedule = make_schedule(problems, CurriculumConfig(mode=mode), seed=0)  # type: ignore[arg-type]
    rng, per_observation = random.Random(SEED), []
    for first in range(0, observations, OBSERVATIONS_AT_A_TIME):
        tasks = schedule.sample(min(OBSERVATIONS_AT_A_TIME, observations - first))
        passed = [rng.randint(0, 8) for _ in tasks]
        began = time.process_time()
        for task, passes in zip(tasks, passed, strict=True):
            schedule.observe(task, passes, attempts=8, weight_version=first)
        per_observation.append((time.process_time() - began) * 1e6 / len(tasks))
    value = statistics.fmean(per_observation)
    name = "observe_us" if mode == "cccs" else f"observe_{mode}_us"
    spread = (min(per_observation), statistics.median(per_observation), max(per_observation))
    return Figure(name, value, "us", f"{observations} observations", 10, 2, value <= 10, spread)


def _seconds(stream: Iterator[object], count: int) -> float:
    began = time.process_time()
    for _ in itertools.islice(stream, count):
        pass
    return time.process_time() - began


def _peak_mb(path: Path) -> float:
    """Peak resident memory of a fresh process that streams the file [MB]."""
    stream = subprocess.run(
        [sys.executable, "-m", "deploy.bench.curriculum.stream", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=MEMORY_TIMEOUT_S,
        check=True,
    )
    return float(stream.stdout)
