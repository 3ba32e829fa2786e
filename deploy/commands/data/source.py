"""What the commands of `stepcoder data` share: the options that name problems, and writing them."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Parameter
from typing_extensions import override

from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.reading.format import ReadOptions
from curriculum.datasets.reading.record import parses
from curriculum.datasets.registry import FORMATS, Skipped, read_source
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem, Tier
from curriculum.prompts.fit import named
from curriculum.start_points import START_POINT_KINDS
from deploy.errors import ConfigError
from deploy.evaluation.mbpp_subsets import id_number, numbers

logger = logging.getLogger(__name__)

SourcePath = Annotated[Path, Parameter(help="A file of problems, or a folder.")]
Output = Annotated[Path, Parameter(("--output", "-o"), help="The JSONL to write.")]
FormatOption = Annotated[
    str | None,
    Parameter(choices=tuple(FORMATS), help="Format of the data; detected by default."),
]
SkipBad = Annotated[bool, Parameter(help="Leave bad records out, and count them by field.")]
ReleaseOption = Annotated[
    str | None, Parameter(help="Release of LiveCodeBench, such as v5 or v4_v5.")
]
FirstDay = Annotated[
    str | None, Parameter("--from", help="First day of LiveCodeBench's contests, 2024-08-01.")
]
LastDay = Annotated[str | None, Parameter("--to", help="Last day of LiveCodeBench's contests.")]
Kinds = Annotated[str, Parameter(help="Statements that are start points, separated by commas.")]
ALL_KINDS = ",".join(START_POINT_KINDS)


@Parameter(name="*")
@dataclass(frozen=True)
class Selection:
    """Which problems of a source to read."""

    format: FormatOption = None
    split: Annotated[
        Literal["train", "test"] | None, Parameter(help="Split of a folder; both by default.")
    ] = None
    tiers: Annotated[
        str | None,
        Parameter(
            help=f"Tiers to keep, such as {','.join(TIERS[:2])}, or the meaning of the data's own "
            "levels, such as EASY=introductory,HARD=competition."
        ),
    ] = None
    keys: Annotated[
        list[str] | None,
        Parameter(
            "--map",
            consume_multiple=True,
            help="Where fields stand, such as question=prompt.text tests=asserts.",
        ),
    ] = None
    release: ReleaseOption = None
    first_day: FirstDay = None
    last_day: LastDay = None
    numbers: Annotated[
        str | None,
        Parameter(help="Numbers of the problems to keep, such as 601-974: MBPP's training split."),
    ] = None
    without: Annotated[
        Path | None, Parameter(help="Leave out the problems that this file asks too.")
    ] = None
    skip_bad: SkipBad = False

    def read(self, source: Path, skipped: Skipped) -> Iterator[Problem]:
        """The selected problems of `source`; `skipped` counts where `--skip-bad` is given.

        Raises:
            ConfigError: an option that cannot be understood, or a bad record without `--skip-bad`.
            UnusableData: the data has no known form, or an option that its form does not have.
            BadRecord: the file, or its rest, cannot be read.
        """
        levels, tiers = _levels_and_tiers(self.tiers)
        wanted = None if self.numbers is None else _numbers(self.numbers)
        problems = read_source(
            source,
            FORMATS[self.format] if self.format else None,
            options=ReadOptions(
                split=self.split,
                keys=_pairs(self.keys, "--map"),
                levels=levels,
                release=self.release,
                first_day=day(self.first_day, "--from"),
                last_day=day(self.last_day, "--to"),
            ),
            tiers=tiers,
            skipped=skipped if self.skip_bad else _NoneSkipped(),
        )
        asked = _questions(self.without) if self.without else frozenset[str]()
        left_out: list[str] = []
        for problem in problems:
            if wanted is not None and id_number(problem.id) not in wanted:
                continue
            if problem.question in asked:
                left_out.append(problem.id)
                continue
            yield problem
        if left_out:
            logger.warning(
                "left out %d problems that %s asks too: %s",
                len(left_out), self.without, named(left_out),
            )  # fmt: skip


def find_problem(selection: Selection, source: Path, problem_id: str) -> Problem:
    """The problem of a source with an id.

    Raises:
        ConfigError: there is none; names ids that are like it.
    """
    known: list[str] = []
    for problem in selection.read(source, Skipped()):
        if problem.id == problem_id:
            return problem
        known.append(problem.id)
    ends = [name for name in known if name.endswith(f"/{problem_id}")]
    near = ends or difflib.get_close_matches(problem_id, known, 1) or known[:1]
    like = f"; its ids are like {near[0]!r}" if near else ""
    raise ConfigError(f"{source}: no problem {problem_id!r} in it{like}")


class _NoneSkipped(Skipped):
    """Ends the command at the first bad record; a fault of the whole file does not come here."""

    @override
    def add(self, error: BadRecord) -> None:
        raise ConfigError(f"{error}; --skip-bad leaves such records out and counts them")


def _levels_and_tiers(text: str | None) -> tuple[dict[str, Tier] | None, list[Tier]]:
    """What `--tiers` says: tiers by the data's own levels, and the tiers to keep."""
    words = text.split(",") if text else []
    kept = choices(",".join(word for word in words if "=" not in word), TIERS, "--tiers")
    levels: dict[str, Tier] = {}
    for level, tier in _pairs([word for word in words if "=" in word], "--tiers").items():
        choices(tier, TIERS, "--tiers")
        levels[level.lower()] = cast(Tier, tier)
    return levels or None, [tier for tier in TIERS if tier in kept]


def _pairs(words: Sequence[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE` words, perhaps several in one, separated by commas."""
    pairs: dict[str, str] = {}
    for word in ",".join(words).split(",") if words else ():
        name, equals, value = word.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise ConfigError(f"{option}: {word!r} is not of the form NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def _questions(file: Path) -> frozenset[str]:
    return frozenset(problem.question for problem in read_source(file, skipped=_NoneSkipped()))


def _numbers(text: str) -> frozenset[int]:
    try:
        return numbers(text.replace(",", " "))
    except ValueError:
        raise ConfigError(
            f"--numbers: {text!r} is no list of numbers and ranges; write it as 1-10,12"
        ) from None


def day(text: str | None, option: str) -> date | None:
    """The date in an option's text.

    Raises:
        ConfigError: it is none.
    """
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is no date; write it as 2024-08-31") from None


def start_point_kinds(text: str) -> frozenset[str]:
    """The start-point kinds in an option's text.

    Raises:
        ConfigError: one of them is unknown.
    """
    return frozenset(choices(text, START_POINT_KINDS, "--kinds"))


def choices(text: str | None, allowed: Sequence[str], option: str) -> list[str]:
    """Names separated by commas.

    Raises:
        ConfigError: a name that is not allowed.
    """
    chosen = text.split(",") if text else []
    for name in chosen:
        if name not in allowed:
            raise ConfigError(f"{option}: {name!r} is none of {', '.join(allowed)}")
    return chosen


class Notes:
    """What a user should know about the problems of a data set."""

    def __init__(self) -> None:
        self._not_python, self._without_solution, self._code_tests = 0, 0, 0

    def of(self, problems: Iterator[Problem]) -> Iterator[Problem]:
        """The same problems, looked at as they pass."""
        for problem in problems:
            self._code_tests += problem.assertions is not None
            if problem.solution:
                self._not_python += not parses(problem.solution)
            else:
                self._without_solution += 1
            yield problem

    def report(self) -> None:
        """Log what there is to say, a line each."""
        if self._not_python:
            logger.warning(
                "%d solutions are not Python 3; `stepcoder data verify` leaves such problems out",
                self._not_python,
            )
        if self._without_solution:
            logger.warning(
                "%d problems have no solution: they can be evaluated on, and trained on as whole "
                "tasks",
                self._without_solution,
            )
        if self._code_tests:
            logger.info(
                "%d problems have tests that are code; training leaves them out unless "
                "data.untrusted_tests is train",
                self._code_tests,
            )


def report_skipped(skipped: Skipped) -> None:
    """Log how many records were left out, by field, with an example of each."""
    for name, number in sorted(skipped.counts.items()):
        logger.warning("left out %d for %s, such as %s", number, name, skipped.examples[name][0])


def write_output(output: Path, problems: Iterator[Problem]) -> None:
    """Write the problems, whole or not at all, and print their number.

    Raises:
        ConfigError: there are none; `output` is left as it was.
    """
    written = 0

    def counted() -> Iterator[Problem]:
        nonlocal written
        for problem in problems:
            yield problem
            written += 1
        if not written:
            raise ConfigError(f"no problem is left to write; {output} is unchanged")

    write_problems(output, counted())
    print(f"{output}: {written} problems")
