"""Suites: the data sets that a model is evaluated on, by name or by file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from curriculum.config import DataConfig
from curriculum.datasets.load import load_dataset
from curriculum.datasets.problem_file import problem_digest
from curriculum.datasets.reading.format import ReadOptions
from curriculum.datasets.registry import Skipped, detect, read_source
from curriculum.problem import TIERS, Problem
from deploy.errors import ConfigError
from deploy.evaluation import mbpp_subsets

DATA = "STEPCODER_DATA"
"""Environment variable that names the folder of the data sets."""

SYNTHETIC = "synthetic"
_WHOLE = ReadOptions()


@dataclass(frozen=True)
class KnownSuite:
    """A published data set that is found by its name."""

    paths: tuple[str, ...]
    """Where it may lie below `STEPCODER_DATA`."""
    numbers: frozenset[int] | None = None
    """Which problems belong to it, by the number at the end of their ids; None: all."""
    remedy: str = "put the published file there"
    """What to do where nothing lies there."""


def _files(stem: str, endings: Sequence[str] = ("jsonl", "jsonl.gz", "parquet")) -> tuple[str, ...]:
    """Names of a data set's file, in a folder of its own or not."""
    names = [f"{stem}.{ending}" for ending in endings]
    return (*(f"{stem}/{name}" for name in names), *names)


_MBPP = _files("mbpp")
KNOWN = {
    "humaneval": KnownSuite(
        ("humaneval/HumanEval.jsonl.gz", "humaneval/HumanEval.jsonl", "HumanEval.jsonl.gz",
         "HumanEval.jsonl")
    ),
    "mbpp": KnownSuite(_MBPP),
    "mbpp-test": KnownSuite(_MBPP, mbpp_subsets.TEST),
    "mbpp-evalplus": KnownSuite(
        ("mbpp/sanitized-mbpp.json", "sanitized-mbpp.json", *_MBPP), mbpp_subsets.EVALPLUS
    ),
    "humaneval+": KnownSuite(_files("humanevalplus")),
    "mbpp+": KnownSuite(_files("mbppplus")),
    "livecodebench": KnownSuite(
        ("livecodebench", "code_generation_lite", *_files("livecodebench")),
        remedy="put the files test.jsonl, test2.jsonl, ... of livecodebench/code_generation_lite "
        "into the folder livecodebench",
    ),
    "apps+": KnownSuite(
        _files("apps_plus", ("json", "jsonl", "json.gz", "jsonl.gz", "parquet")),
        remedy="save the published file there under the first of these names",
    ),
    "apps-sample": KnownSuite(("apps_sample", "apps_sample/train")),
}  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """The problems of one suite, and where they came from."""

    name: str
    problems: tuple[Problem, ...]
    digests: dict[str, str]
    """Digest of each problem's content, by id."""
    data: dict[str, Any]
    """Path, format, digests and number of records left out, for the result."""


def load_suites(
    names: Sequence[str],
    limit: int | None,
    synthetic: DataConfig,
    option: str = "--suite",
    reading: ReadOptions = _WHOLE,
) -> list[Suite]:
    """Read every suite.

    Args:
        names: of suites, or paths of files.
        limit: number of problems of each suite, from its beginning; None takes all.
        synthetic: seeds and number of the problems of the suite `synthetic`.
        option: what the names were given to, for error messages.
        reading: release and dates.

    Raises:
        ConfigError: an unknown name, a suite without problems, or two of one name.
        CurriculumError: a file cannot be read, or its form has no releases or dates.
    """
    suites = [_load(name, limit, synthetic, option, reading) for name in names]
    repeated = {suite.name for suite in suites if sum(s.name == suite.name for s in suites) > 1}
    if repeated:
        raise ConfigError(f"{option}: two suites are called {', '.join(sorted(repeated))}")
    return suites


def check_names(names: Sequence[str], option: str = "--suite") -> None:
    """Refuse a name that stands for nothing, before anything is loaded.

    Raises:
        ConfigError: names it.
    """
    for name in names:
        if name != SYNTHETIC:
            _path_of(name, option)


def _load(
    name: str, limit: int | None, synthetic: DataConfig, option: str, reading: ReadOptions
) -> Suite:
    chosen = _chosen(reading)
    if name == SYNTHETIC:
        if chosen:
            raise ConfigError(f"--{next(iter(chosen))}: suite {name} has no releases and no dates")
        heldout = load_dataset(synthetic).heldout
        kept = heldout[:limit]
        missed = {problem.difficulty for problem in heldout} - {p.difficulty for p in kept}
        seed, per_tier = synthetic.heldout_seed, synthetic.heldout_per_tier
        source = {"format": SYNTHETIC, "seed": seed, "per_tier": per_tier, "left_out": {}}
        source |= {"limit": limit, "tiers_beyond_limit": [t for t in TIERS if t in missed]}
        return _suite(name, kept, source, option)
    known, path = KNOWN.get(name), _path_of(name, option)
    skipped = Skipped()
    format = detect(path)
    problems: Iterator[Problem] = read_source(path, format, options=reading, skipped=skipped)
    if known is not None and known.numbers is not None:
        wanted = known.numbers
        problems = (problem for problem in problems if mbpp_subsets.id_number(problem.id) in wanted)
    kept = list(islice(problems, limit))
    left_out = {field: [count, skipped.examples[field][0]] for field, count in
                skipped.counts.items()}  # fmt: skip
    source = {"path": str(path), "format": format.name, "left_out": left_out, "chosen": chosen}
    source["limit"] = limit
    if path.is_file():
        source["sha256"] = file_sha256(path)
    return _suite(name if known else file_stem(path), kept, source, option)


def _suite(name: str, problems: Sequence[Problem], source: dict[str, Any], option: str) -> Suite:
    if not problems:
        within = "".join(f" {word} {value}" for word, value in source.get("chosen", {}).items())
        raise ConfigError(f"{option} {name}: no problem in it{within}")
    digests = {problem.id: problem_digest(problem) for problem in problems}
    whole = hashlib.sha256("".join(digests.values()).encode()).hexdigest()
    return Suite(name, tuple(problems), digests, {**source, "problems_sha256": whole})


def _chosen(reading: ReadOptions) -> dict[str, str]:
    """The release and the dates that were asked for, by the words of their options."""
    given = {"release": reading.release, "from": reading.first_day, "to": reading.last_day}
    return {word: str(value) for word, value in given.items() if value is not None}


def _path_of(name: str, option: str) -> Path:
    known = KNOWN.get(name)
    path = Path(name) if known is None else _find(name, known, option)
    if not path.exists():
        raise ConfigError(_unknown(name, option))
    return path


def _find(name: str, known: KnownSuite, option: str) -> Path:
    root = os.environ.get(DATA)
    if not root:
        raise ConfigError(
            f"{option} {name}: {DATA} is not set; set it to the folder that holds "
            f"{known.paths[0]} ({known.remedy}), or give its path instead of the name"
        )
    for path in known.paths:
        if (Path(root) / path).exists():
            return Path(root) / path
    raise ConfigError(
        f"{option} {name}: none of {', '.join(known.paths)} in {root} ({DATA}); {known.remedy}, or "
        f"give its path instead of the name"
    )


def _unknown(name: str, option: str) -> str:
    known = ", ".join([*KNOWN, SYNTHETIC])
    if name == "heldout":
        return (
            f"{option} {name}: the held-out problems of a run are the suite {SYNTHETIC}, or the "
            f"file of its data.heldout_path"
        )
    return (
        f"{option} {name}: no such file, and no suite; known are {known}, and the path of any file "
        f"that `stepcoder data convert` reads"
    )


def file_sha256(path: Path) -> str:
    """Digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_stem(path: Path) -> str:
    """A data file's name without its endings."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def task_id(problem: Problem) -> str:
    """A problem's id as EvalPlus writes it: `Mbpp/2` for `mbpp/2` and `mbppplus/2`."""
    prefix, slash, number = problem.id.partition("/")
    return f"Mbpp{slash}{number}" if prefix in ("mbpp", "mbppplus") and slash else problem.id
