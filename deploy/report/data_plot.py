"""The plot of a data set: `stepcoder data stats --plot FILE`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curriculum.datasets.statistics import ALL, Counts
from curriculum.files import require_folder_of
from curriculum.problem import TIERS
from deploy.errors import ConfigError

if TYPE_CHECKING:  # only a picture needs matplotlib
    from matplotlib.figure import Figure

COLOURS = {"introductory": "#4c9f70", "interview": "#3b6ea5", "competition": "#b5485d"}
LAST_BIN = 16
"""Counts of start points and stages from this number on share one bar."""
MAX_LINES = 80
"""Solutions with more lines are counted in the last bin."""
FORMATS = (".png", ".svg", ".pdf")


def check_picture(picture: Path) -> None:
    """Check that a plot can be drawn there; raises as `plot_statistics` does."""
    if picture.suffix not in FORMATS:
        raise ConfigError(f"--plot: {picture} must end in one of {', '.join(FORMATS)}")
    require_folder_of(picture)


def plot_statistics(counts: dict[str, Counts], source: Path, picture: Path) -> None:
    """Draw lengths, start points, stages and the first stage's prefix, stacked by tier.

    Args:
        counts: statistics by tier, and of all problems.
        source: the data set, for the title.
        picture: the file to write.

    Raises:
        ConfigError: the name of `picture` does not end in one of `FORMATS`.
        OSError: `picture` lies in no folder.
    """
    check_picture(picture)
    from matplotlib.figure import Figure

    tiers = {tier: counts[tier] for tier in TIERS if tier in counts}
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    (lengths, points), (stages, prefix) = figure.subplots(2, 2)
    _histogram(lengths, tiers, "lines", range(0, MAX_LINES + 4, 4), MAX_LINES)
    lengths.set(
        title="lines of the canonical solution", xlabel=f"lines ({MAX_LINES} and more last)"
    )
    _bars(points, tiers, "start_points")
    points.set(title="start points", xlabel=f"start points ({LAST_BIN} and more last)")
    _bars(stages, tiers, "stages")
    stages.set(title="curriculum stages", xlabel="stages")
    _histogram(prefix, tiers, "revealed", [share / 20 for share in range(21)], 1)
    prefix.set(title="what the first stage gives", xlabel="share of the solution's characters")
    for axes in (lengths, points, stages, prefix):
        axes.set_ylabel("problems")
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.get_major_locator().set_params(integer=True)
    total = counts[ALL].problems
    figure.suptitle(f"{source.name}: {total} problems", fontweight="bold")
    labels = [f"{tier} ({of_tier.problems})" for tier, of_tier in tiers.items()]
    points.legend(labels, frameon=False, fontsize=9)
    save_picture(figure, picture)


def save_picture(figure: Figure, picture: Path) -> None:
    """Write a picture of a known format; the same data gives the same bytes."""
    import matplotlib

    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "stepcoder"}):
        figure.savefig(picture, dpi=130, metadata=metadata.get(picture.suffix))


def _histogram(axes: Any, tiers: dict[str, Counts], name: str, bins: Any, last: float) -> None:
    values = [[min(value, last) for value in getattr(of_tier, name)] for of_tier in tiers.values()]
    colours = [COLOURS[tier] for tier in tiers]
    axes.hist(values, bins=list(bins), stacked=True, color=colours)


def _bars(axes: Any, tiers: dict[str, Counts], name: str) -> None:
    below: Counter[int] = Counter()
    for tier, of_tier in tiers.items():
        binned: Counter[int] = Counter()
        for number, problems in getattr(of_tier, name).items():
            binned[min(number, LAST_BIN)] += problems
        numbers = sorted(binned)
        bottoms = [below[number] for number in numbers]
        heights = [binned[number] for number in numbers]
        axes.bar(numbers, heights, bottom=bottoms, color=COLOURS[tier], width=0.8, label=tier)
        below += binned
    axes.xaxis.get_major_locator().set_params(integer=True)
