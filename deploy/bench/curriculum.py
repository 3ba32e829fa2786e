"""What the curriculum costs: streaming a file of problems, and observing.

Times are processor time of one thread, so that other work on the machine hardly counts. Both sides
of a ratio go through the same file in turn, a block at a time.
"""

from __future__ import annotations

import ast
import itertools
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from curriculum.config import CurriculumConfig
from curriculum.problem import TIERS, Problem, Test, write_problems
from curriculum.schedule.make import make_schedule
from curriculum.synthetic.language import sample_spec
from curriculum.synthetic.problems import run_on
from deploy.bench.curriculum_stream import loaded
from deploy.bench.record import Figure

SEED = 11
BLOCKS = 20
SHORT = 10
"""The short file of the memory figure has this part of the long one's problems."""
OBSERVED_PROBLEMS = 5_000
OBSERVATIONS_AT_A_TIME = 1_000
MEMORY_ROUNDS = 3
MEMORY_SECONDS = 1_800


def measure(
    problems: int, observations: int, cache: Path, say: Callable[[str], None]
) -> Iterator[Figure]:
    """Every figure, each as soon as it is known; `say` hears what comes next.

    Args:
        problems: in the file that is streamed, at least `SHORT * BLOCKS`.
        observations: made with each schedule.
        cache: folder that keeps the files for the next time.
        say: hears what comes next.
    """
    say(f"files of {problems} and {problems // SHORT} problems in {cache}")
    long, short = bench_file(problems, cache), bench_file(problems // SHORT, cache)
    say("loading, validating and cutting, against bare parsing")
    yield load_cut_vs_bare_parse(long, problems)
    say("peak memory at two lengths")
    yield peak_memory(long, short, problems)
    for mode in ("cccs", "none", "linear", "adaptive"):
        say(f"{observations} observations, mode {mode}")
        yield observe_us(mode, observations)


def bench_file(problems: int, cache: Path) -> Path:
    """The seeded file of so many problems; made where the cache does not have it."""
    path = cache / f"curriculum-{problems}-seed{SEED}.jsonl"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        write_problems(path, generated(problems))
    return path


def generated(problems: int) -> Iterator[Problem]:
    """Solutions of the bundled kind with eight tests each; questions may come twice."""
    rng = random.Random(SEED)
    for number in range(problems):
        tier = TIERS[number % len(TIERS)]
        spec = sample_spec(rng, tier)
        inputs = [[rng.randint(-6, 14) for _ in range(rng.randint(2, 6))] for _ in range(8)]
        outputs = run_on(spec.solution(), inputs)
        yield Problem(
            id=f"bench/{number:07d}",
            question=spec.question,
            canonical_solution=spec.solution(),
            fn_name="f",
            tests=tuple(Test(input=[i], output=o) for i, o in zip(inputs, outputs, strict=True)),
            difficulty=tier,
            source="bench",
        )


def parsed(path: Path) -> Iterator[ast.Module]:
    """The same file through `json.loads` and `ast.parse`, and nothing else."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield ast.parse(json.loads(line)["canonical_solution"])


def load_cut_vs_bare_parse(path: Path, problems: int) -> Figure:
    """Speed of `loaded` over that of `parsed`, a block of the file at a time."""
    ours, bare, ratios = loaded(path), parsed(path), []
    for block in range(BLOCKS):
        count = problems // BLOCKS + (problems % BLOCKS if block == BLOCKS - 1 else 0)
        # Whoever goes second meets warmer caches: in turn.
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
    """Peak memory of a process that streams the long file, beside that for the short one."""
    at: dict[Path, list[float]] = {short: [], long: []}
    for _ in range(MEMORY_ROUNDS):
        for path, peaks in at.items():
            peaks.append(_peak_mb(path))
    value, less = statistics.median(at[long]), statistics.median(at[short])
    target = round(1.05 * less, 1)  # the same, but for the allocator's grain
    against = f"1.05 x that for {problems // SHORT} problems ({less:.1f})"
    return Figure(
        "peak_memory_mb", value, "MB", against, target, None, value <= target, (*at[long],)
    )


def observe_us(mode: str, observations: int) -> Figure:
    """Microseconds per observation, sampling left out."""
    problems = list(generated(OBSERVED_PROBLEMS))
    schedule = make_schedule(problems, CurriculumConfig(mode=mode), seed=0)  # type: ignore[arg-type]
    rng, each = random.Random(SEED), []
    for first in range(0, observations, OBSERVATIONS_AT_A_TIME):
        tasks = schedule.sample(min(OBSERVATIONS_AT_A_TIME, observations - first))
        passed = [rng.randint(0, 8) for _ in tasks]
        began = time.process_time()
        for task, passes in zip(tasks, passed, strict=True):
            schedule.observe(task, passes, attempts=8, weight_version=first)
        each.append((time.process_time() - began) * 1e6 / len(tasks))
    value = statistics.fmean(each)
    name = "observe_us" if mode == "cccs" else f"observe_{mode}_us"
    spread = (min(each), statistics.median(each), max(each))
    return Figure(name, value, "us", f"{observations} observations", 10, 2, value <= 10, spread)


def _seconds(stream: Iterator[object], count: int) -> float:
    began = time.process_time()
    for _ in itertools.islice(stream, count):
        pass
    return time.process_time() - began


def _peak_mb(path: Path) -> float:
    """Peak resident memory of a fresh process that streams the file [MB]."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.bench.curriculum_stream", str(path)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        timeout=MEMORY_SECONDS,
        check=True,
    )
    return float(done.stdout)
