"""Pictures: axes from 0 where values cannot be below it, and readable logarithmic ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from deploy.report.runs.charts.chart import Chart, Line, Panel, Unit
from deploy.report.runs.pictures import draw_panel, write_pictures


def drawn(values: Sequence[float], unit: Unit, **options: bool) -> Any:
    """The axes of a chart of one line."""
    panel = Panel("", [Line("a", "first", [*range(1, len(values) + 1)], values)])
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    draw_panel(axes, Chart("a", "A", "", "lines", unit, [panel], **options), panel)
    figure.draw_without_rendering()
    return axes


@pytest.mark.parametrize("values", [(0.0, 0.0, 0.0), (0.4, 0.5, 0.45)])
@pytest.mark.parametrize("unit", ["share", "tokens", "per_second", "seconds"])
def test_what_is_never_negative_has_its_axis_from_zero(values: Sequence[float], unit: Unit) -> None:
    low, high = drawn(values, unit).get_ylim()
    assert low == 0 < high
    assert drawn((-0.2, 0.1), "nats").get_ylim()[0] < -0.2


def test_a_logarithmic_axis_leaves_zeros_out_and_labels_few_decades() -> None:
    axes = drawn((0.0, 0.0, 0.2, 0.9), "number", log=True)
    assert 0.1 < axes.get_ylim()[0] < 0.2
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.2", "0.5"} <= {*labels}
    many = drawn((1e-7, 1e-6, 3e-5), "nats", log=True)
    labels = [label.get_text() for label in many.get_yticklabels()]
    assert {"1e-07", "1e-06", "1e-05"} <= {*labels}
    assert many.get_ylabel() == "nats"


def test_a_name_with_dollars_is_no_formula(tmp_path: Path) -> None:
    panels = [Panel("", [Line(name, "first", [1, 2], [0.1, 0.2]) for name in (r"$\frac{$", "b")])]
    [picture] = write_pictures([Chart("a", "$_{$", "", "lines", "share", panels)], tmp_path)
    assert picture.stat().st_size > 1000
