"""What the commands of `stepcoder data` share: the options that name problems, and writing them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from typing_extensions import override

from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.registry import FORMATS, Skipped, detect, read_source
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem
from curriculum.start_points import START_POINT_KINDS
from deploy.errors import ConfigError

logger = logging.getLogger(__name__)

SourcePath = Annotated[Path, Parameter(help="A file of problems, or a folder of APPS.")]
Output = Annotated[Path, Parameter(("--output", "-o"), help="The JSONL to write.")]
FormatOption = Annotated[
    str | None,
    Parameter(choices=tuple(FORMATS), help="Format of the data; detected by default."),
]
SkipBad = Annotated[bool, Parameter(help="Leave bad records out, and count them by field.")]
Kinds = Annotated[str, Parameter(help="Statements that are start points, separated by commas.")]
ALL_KINDS = ",".join(START_POINT_KINDS)


@Parameter(name="*")
@dataclass(frozen=True)
class Selection:
    """Which problems of a source to read."""

    format: FormatOption = None
    split: Annotated[
        Literal["train", "test"] | None, Parameter(help="Split of an APPS folder; both by default.")
    ] = None
    tiers: Annotated[
        str | None,
        Parameter(help=f"Tiers to keep, such as {','.join(TIERS[:2])}; all by default."),
    ] = None
    skip_bad: SkipBad = False

    def read(self, source: Path, skipped: Skipped) -> Iterator[Problem]:
        """The selected problems of `source`; `skipped` counts where `--skip-bad` is given.

        Raises:
            ConfigError: an unknown tier, a split of a source that has none, or a bad record without
                `--skip-bad`.
            BadRecord: the file, or its rest, cannot be read.
        """
        tiers = choices(self.tiers, TIERS, "--tiers")
        format = FORMATS[self.format] if self.format else detect(source)
        if self.split and format.read_split is None:
            raise ConfigError(f"--split: {source} is read as {format.name}, which has no splits")
        yield from read_source(
            source,
            format,
            split=self.split,
            tiers=[tier for tier in TIERS if tier in tiers],
            skipped=skipped if self.skip_bad else _NoneSkipped(),
        )


class _NoneSkipped(Skipped):
    """Ends the command at the first bad record; a fault of the whole file does not come here."""

    @override
    def add(self, error: BadRecord) -> None:
        raise ConfigError(f"{error}\n  --skip-bad leaves such records out and counts them")


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
