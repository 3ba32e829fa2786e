"""The picture of stored measurements: what each mask changes, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.report.data_plot import check_picture, save_picture
from deploy.report.signal.tables import compared_masks
from deploy.signal.stored import StoredSignal

COLOURS = ("#1f6fb4", "#c8762b", "#5b8c3a", "#8a5ba8")


def draw_signals(signals: Sequence[StoredSignal], picture: Path) -> None:
    """Draw the change of the signal-to-noise ratio by each mask, a row for each measurement.

    Raises:
        ConfigError: the name of `picture` does not end in that of a known format.
        OSError: `picture` lies in no folder.
    """
    check_picture(picture)
    from matplotlib.figure import Figure

    masks, height = compared_masks(signals), 1.2 + 0.5 * len(signals)
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    for at, mask in enumerate(masks):
        _row_marks(axes, signals, mask, 0.18 * (at - (len(masks) - 1) / 2), COLOURS[at % 4])
    axes.axvline(0, color="#888888", linewidth=1)
    axes.set_yticks(range(len(signals)), [signal.name for signal in signals])
    axes.invert_yaxis()
    axes.set_xlabel(f"signal-to-noise ratio less that of mask {signals[0].baseline}, 95 % interval")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, title="mask")
    save_picture(figure, picture)


def _row_marks(
    axes: Any, signals: Sequence[StoredSignal], mask: str, offset: float, colour: str
) -> None:
    label: str | None = mask
    for row, signal in enumerate(signals):
        found = signal.parts[0].masks.get(mask)
        difference = found.difference if found else None
        if difference is None or difference.value is None:
            continue
        if difference.low is not None and difference.high is not None:
            ends = [difference.low, difference.high]
            axes.plot(ends, [row + offset] * 2, color=colour, linewidth=1.6)
        axes.plot([difference.value], [row + offset], "o", color=colour, markersize=5, label=label)
        label = None
