"""The tables of docs/data.md that say how outputs are compared are what the judge does."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from curriculum.problem import Comparison
from sandbox.judging.comparison import same_text, same_value
from sandbox.runner import values
from tests.docs.commands import ROOT

SECTION = (ROOT / "docs/data.md").read_text().partition("## How outputs are compared")[2]
COMPARISONS: tuple[Comparison, ...] = ("close", "exact", "apps", "unordered")


class Row(NamedTuple):
    """A row of one of the tables."""

    expected: str
    """Python."""
    got: str
    verdicts: tuple[str, ...]


def rows(heading: str) -> list[Row]:
    """The rows of the table whose second column has this heading."""
    names = " | ".join(f"`{name}`" for name in COMPARISONS)
    _, _, below = SECTION.partition(f"| expected | {heading} | {names} |\n")
    lines = below.partition("\n\n")[0].splitlines()[1:]
    cells = [re.fullmatch(r"\| `(.*)` \| `(.*)` \| (.*) \|", line) for line in lines]
    return [Row(cell[1], cell[2], tuple(cell[3].split(" | "))) for cell in cells if cell]


RETURNED, PRINTED = rows("returned"), rows("printed")


def value(text: str) -> Any:
    """The value of a cell."""
    return eval(text, {"Decimal": Decimal})


def test_both_tables_are_found() -> None:
    assert len(RETURNED) > 30
    assert len(PRINTED) > 10


@pytest.mark.parametrize("row", RETURNED, ids=lambda row: f"{row.expected}-{row.got}")
def test_a_returned_value_is_judged_as_the_table_says(row: Row) -> None:
    for comparison, verdict in zip(COMPARISONS, row.verdicts, strict=True):
        returned = values.dumps_result(value(row.got), comparison == "exact")
        same = same_value(value(row.expected), values.loads_result(returned), comparison)
        assert verdict == ("yes" if same else "no"), comparison


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row.expected}-{row.got}")
def test_printed_text_is_judged_as_the_table_says(row: Row) -> None:
    for comparison, verdict in zip(COMPARISONS, row.verdicts, strict=True):
        same = same_text(value(row.expected), value(row.got), comparison)
        assert verdict == ("yes" if same else "no"), comparison
