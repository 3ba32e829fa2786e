"""The charts of a report as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from deploy.report.runs.charts.chart import Chart, Line, Panel, segments
from deploy.report.runs.charts.palette import HEAT, PALETTE

DPI = 160
_INK, _SOFT, _GRID = "#20242c", "#5c636f", "#e6e5e0"
_MOST_ACROSS = 3
_UNITS = {"nats": "nats", "tokens": "tokens", "seconds": "seconds",
          "per_second": "tokens per second"}  # fmt: skip
_SIGNED = ("number", "nats")
"""Units whose axis need not begin at 0, as in the page."""


def write_pictures(charts: Sequence[Chart], folder: Path) -> list[Path]:
    """Draw every chart into `<id>.png`; pictures of a former report that have no chart are left."""
    import matplotlib

    matplotlib.use("agg")
    with matplotlib.rc_context({"text.parse_math": False}):  # a dollar in a name is a dollar
        return [_write_picture(chart, folder / f"{chart.id}.png") for chart in charts]


def _write_picture(chart: Chart, path: Path) -> Path:
    from matplotlib.figure import Figure

    count = len(chart.panels)
    across = 2 if count == 4 else min(count, _MOST_ACROSS)
    down = -(-count // across)
    width = 9.4 if across > 1 else 7.2 if chart.wide else 5.4
    height = 4.2 if chart.kind == "heat" else 3.3
    figure = Figure(figsize=(width, height * down), layout="constrained")
    grid = list(figure.subplots(down, across, squeeze=False).flatten())
    for axes, panel in zip(grid, chart.panels, strict=False):
        draw_panel(axes, chart, panel)
    for axes in grid[count:]:
        axes.set_visible(False)
    _legend(figure, grid[:count])
    figure.suptitle(chart.title, fontsize=12, fontweight="bold", color=_INK, x=0.02, ha="left")
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


def draw_panel(axes: Any, chart: Chart, panel: Panel) -> None:
    """Draw one panel of a chart into matplotlib's axes."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if panel.title:
        axes.set_title(panel.title, fontsize=9, color=_SOFT, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRID)
    axes.tick_params(colors=_SOFT, labelsize=8, length=0)
    axes.set_xlabel("step", fontsize=8, color=_SOFT)
    if panel.heat is not None:
        _heat(axes, panel)
        return
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, steps=[1, 2, 5, 10]))
    axes.set_ylabel(_UNITS.get(chart.unit, ""), fontsize=8, color=_SOFT)
    {"lines": _lines, "area": _area, "bars": _bars}[chart.kind](axes, panel)
    for mark in panel.marks:
        axes.axvline(mark.step, color=_SOFT, linewidth=0.7, linestyle=(0, (3, 3)), zorder=0)
    if chart.log:
        # What is 0, such as a gradient before the first update, has no place on such an axis.
        axes.set_yscale("log", nonpositive="mask")
        _log_labels(axes)
    elif chart.unit not in _SIGNED and axes.get_ylim()[1] > 0:
        axes.set_ylim(bottom=0)
    if chart.unit == "share":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    if chart.whole:
        axes.set_ylim(0, 1)


def _log_labels(axes: Any) -> None:
    """Plain numbers where they are short, also between powers of ten where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    low, high = axes.get_ylim()
    between = (2.0, 5.0) if high < 30 * low else ()

    def label(value: float, _: int | None = None) -> str:
        return f"{value:g}" if 0.01 <= value <= 1000 else f"{value:.0e}"

    axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, *between)))
    axes.yaxis.set_major_formatter(FuncFormatter(label))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _legend(figure: Any, axes: Sequence[Any]) -> None:
    """One legend below all panels, each name once."""
    entries: dict[str, Any] = {}
    for each in axes:
        handles, labels = each.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if len(entries) > 1:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=min(len(entries), 5),
            frameon=False,
            fontsize=8,
            labelcolor=_INK,
        )


def _colour(line: Line) -> str:
    return PALETTE[line.colour][0]


def _lines(axes: Any, panel: Panel) -> None:
    for drawn in panel.lines:
        for begin, end in segments(drawn, panel):
            part = slice(begin, end)
            steps = drawn.steps[part]
            if drawn.low is not None and drawn.high is not None:
                axes.fill_between(steps, drawn.low[part], drawn.high[part], color=_colour(drawn),
                                  alpha=0.14, linewidth=0)  # fmt: skip
            marker = "o" if drawn.markers or len(steps) == 1 else None
            axes.plot(steps, drawn.values[part], color=_colour(drawn), linewidth=1.7,
                      label=drawn.name, marker=marker, markersize=4)  # fmt: skip


def _area(axes: Any, panel: Panel) -> None:
    axes.stackplot(
        panel.lines[0].steps,
        [drawn.values for drawn in panel.lines],
        colors=[_colour(drawn) for drawn in panel.lines],
        labels=[drawn.name for drawn in panel.lines],
        edgecolor="white",
        linewidth=0.3,
    )
    axes.margins(x=0)


def _bars(axes: Any, panel: Panel) -> None:
    below = [0.0] * len(panel.lines[0].steps)
    gap = min((b - a for a, b in pairwise(panel.lines[0].steps)), default=1)
    for drawn in panel.lines:
        if drawn.colour == "overall":
            axes.step(drawn.steps, drawn.values, where="mid", color=_INK, linewidth=1.2,
                      label=drawn.name)  # fmt: skip
            continue
        axes.bar(drawn.steps, drawn.values, bottom=below, width=0.85 * gap, color=_colour(drawn),
                 label=drawn.name)  # fmt: skip
        below = [a + b for a, b in zip(below, drawn.values, strict=True)]


def _heat(axes: Any, panel: Panel) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    heat = panel.heat
    assert heat is not None
    colours = LinearSegmentedColormap.from_list("stages", list(HEAT[0]))
    extent = (heat.columns[0] - 0.5, heat.columns[-1] + 0.5, len(heat.rows), 0)
    values = np.array(heat.values, dtype=float)  # None is NaN, which is not drawn
    image = axes.imshow(values, aspect="auto", cmap=colours, vmin=0, vmax=1, extent=extent,
                        interpolation="nearest")  # fmt: skip
    scale = axes.figure.colorbar(image, ax=axes, orientation="horizontal", ticks=[0, 1],
                                 shrink=0.3, aspect=28, anchor=(1, 0))  # fmt: skip
    scale.ax.set_xticklabels(heat.ends, fontsize=8, color=_SOFT)
    scale.ax.tick_params(length=0)
    scale.outline.set_visible(False)
    ends = [0]
    for _, count in heat.bands:
        ends.append(ends[-1] + count)
    for end in ends[1:-1]:
        axes.axhline(end, color="white", linewidth=2)
    axes.set_yticks([(a + b) / 2 for a, b in pairwise(ends)])
    axes.set_yticklabels([name for name, _ in heat.bands])
