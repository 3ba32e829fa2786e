"""The charts of a report as plain data, which the page and the pictures draw alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import fmean
from typing import Literal

from deploy.report.runs.groups import Curve

MOST_POINTS = 600
"""Points of a line; more steps than that are averaged in bins of equal size."""
MOST_BARS = 90
"""Bars of a chart, likewise."""

Kind = Literal["lines", "area", "bars", "heat"]
Unit = Literal["share", "number", "nats", "tokens", "seconds", "per_second"]


@dataclass(frozen=True)
class Line:
    """One figure by step."""

    name: str
    colour: str
    """Its name in the palette."""
    steps: Sequence[int]
    values: Sequence[float]
    low: Sequence[float] | None = None
    """Lower edge of its band, if it has one."""
    high: Sequence[float] | None = None
    markers: bool = False
    """Whether its points are drawn: the figure exists at these steps alone."""
    dashed: bool = False


@dataclass(frozen=True)
class Heat:
    """A matrix of shares, rows from top to bottom."""

    columns: Sequence[int]
    """The step at which each column ends."""
    rows: Sequence[str]
    """Label of each row."""
    values: Sequence[Sequence[float | None]]
    """By row, from 0 to 1; None where there is no value yet."""
    bands: Sequence[tuple[str, int]]
    """Names of consecutive bands of rows, and the number of rows in each."""
    ends: tuple[str, str]
    """What 0 and 1 mean, for the scale."""
    meaning: str
    """What a value is a share of, behind its number."""


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step."""

    step: int
    kind: Literal["restart", "drop"]
    text: str


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    title: str
    """Empty where the chart has one panel."""
    lines: Sequence[Line] = ()
    heat: Heat | None = None
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Chart:
    """Panels that show one thing, with the same axes."""

    id: str
    """Names its picture and its place in the page."""
    title: str
    caption: str
    """What is drawn, in a sentence or two."""
    kind: Kind
    unit: Unit
    panels: Sequence[Panel]
    wide: bool = False
    """Whether it takes the page's whole width."""
    log: bool = False
    """Whether values are on a logarithmic axis."""
    whole: bool = False
    """Whether the axis of shares goes from 0 to 1 whatever the values are."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(panel.lines or panel.heat for panel in self.panels)


@dataclass(frozen=True)
class Section:
    """Charts under one heading."""

    id: str
    title: str
    charts: list[Chart] = field(default_factory=list)


def line(name: str, colour: str, curve: Curve | None, **options: bool) -> list[Line]:
    """A line in a list, or none where there is no curve."""
    if curve is None:
        return []
    return [Line(name, colour, curve.steps, curve.mean, curve.low, curve.high, **options)]


def segments(drawn: Line, panel: Panel) -> list[tuple[int, int]]:
    """The stretches of a line without a gap, as ranges of its points.

    A figure that some steps lack, such as what is masked of timeouts, has a gap there. One that is
    drawn with markers exists at these steps alone, and a thinned line has bins: both are whole.
    """
    count = len(drawn.steps)
    if drawn.markers or count > MOST_POINTS:
        return [(0, count)]
    gaps = (b - a for line in panel.lines for a, b in pairwise(line.steps))
    spacing = min(gaps, default=1)
    ends = [at for at in range(1, count) if drawn.steps[at] - drawn.steps[at - 1] > spacing]
    return [*pairwise([0, *ends, count])]


def thinned(drawn: Line, most: int = MOST_POINTS) -> Line:
    """A line of at most `most` points, each a mean of consecutive ones, at the last step."""
    size = -(-len(drawn.steps) // most)
    if size <= 1:
        return drawn
    starts = range(0, len(drawn.steps), size)

    def means(values: Sequence[float] | None) -> list[float] | None:
        return None if values is None else [fmean(values[at : at + size]) for at in starts]

    return replace(
        drawn,
        steps=[drawn.steps[at : at + size][-1] for at in starts],
        values=means(drawn.values) or [],
        low=means(drawn.low),
        high=means(drawn.high),
    )
