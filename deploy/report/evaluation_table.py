"""The tables of an evaluation, and of a comparison of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from deploy.evaluation.comparison import Comparison
from deploy.report.pass_rows import pass_rows
from sandbox import Outcome

BAR_WIDTH = 32
SHOWN_PROBLEMS = 8
SHOWN_ERRORS = 3
"""Types of runtime errors that are named."""
_STYLES = {"passed": "green", "infra_error": "magenta"}


def print_evaluation(result: dict[str, Any], folder: Path, console: Console | None = None) -> None:
    """Print the figures of every suite, and what they were made with."""
    console = console or Console(width=100, highlight=False)
    for name, suite in result["suites"].items():
        console.print(Text.assemble("\n", (name, "bold"), f"  {_counts(result, suite)}"))
        console.print(_pass_table(suite))
        console.print(_outcomes(suite))
        for line in _remarks(suite):
            console.print(line, style="yellow", markup=False)
    console.print()
    console.print(_made_with(result), markup=False)
    console.print(f"folder: {folder}", markup=False, soft_wrap=True)


def print_comparison(
    comparisons: Sequence[Comparison],
    a: Path,
    b: Path,
    console: Console | None = None,
    alone: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Print the difference of two evaluations for every suite, k and tier.

    Args:
        comparisons: of all problems of a suite, and behind it of its tiers.
        a: folder of the first.
        b: folder of the second.
        console: where to print.
        alone: suites that only one of them has, under `A` and `B`.
    """
    console = console or Console(width=100, highlight=False)
    console.print(f"A: {a}\nB: {b}\n", markup=False, soft_wrap=True)
    table = Table(box=box.ROUNDED)
    table.add_column("suite")
    for heading in ("pass", "A", "B", "B - A", "95 % interval", "won", "lost", "problems"):
        table.add_column(heading, justify="right")
    for row in comparisons:
        difference = row.difference
        clear = difference.low > 0 or difference.high < 0
        style = ("green" if difference.low > 0 else "red") if clear else ""
        table.add_row(
            Text(f"  {row.tier}" if row.tier else row.suite),
            f"@{row.k}",
            _percent(row.a.estimate),
            _percent(row.b.estimate),
            Text(f"{100 * difference.estimate:+.1f}", style=style),
            f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}",
            str(len(row.won)),
            str(len(row.lost)),
            str(difference.problems),
        )
    console.print(table)
    console.print(
        "paired by problem, in percentage points; won: B solves it more often", style="dim"
    )
    for name, suites in (alone or {}).items():
        if suites:
            console.print(f"not compared: {', '.join(suites)}, in {name} only", markup=False)
    for row in comparisons:
        if row.tier:
            continue
        if row.unpaired:
            unpaired = f"{row.suite}: {row.unpaired} problems are in one of them only"
            console.print(unpaired, markup=False)
        if row.k == comparisons[0].k:
            for line in unjudged_lines(row, "A", "B"):
                console.print(line, style="yellow", markup=False)
        for title, names in (("won", row.won), ("lost", row.lost)):
            if names and row.k == comparisons[0].k:
                more = len(names) - SHOWN_PROBLEMS
                shown = ", ".join(names[:SHOWN_PROBLEMS]) + (f" and {more} more" * (more > 0))
                console.print(f"{row.suite}: {title}: {shown}", markup=False, soft_wrap=True)


def unjudged_lines(comparison: Comparison, a: str, b: str) -> list[str]:
    """Which of two results, by their names, the sandbox failed on, and what that does to them."""
    return [
        f"{comparison.suite}: the sandbox could not judge {count} samples of {name}, which count "
        f"as not passed"
        for name, count in zip((a, b), comparison.unjudged, strict=True)
        if count
    ]


def _counts(result: dict[str, Any], suite: dict[str, Any]) -> str:
    sampling = result["sampling"]
    how = "given programs"
    if sampling and not sampling["temperature"]:
        how = "greedy"
    elif sampling:
        how = f"temperature {sampling['temperature']:g}, top-p {sampling['top_p']:g}"
    chosen = suite["data"].get("chosen", {})
    within = "".join(f", {option} {value}" for option, value in chosen.items())
    first = "first " if suite["data"].get("limit") else ""
    return f"{first}{suite['problems']} problems{within}, {suite['samples']} samples ({how})"


def _pass_table(suite: dict[str, Any]) -> Table:
    rows = [*pass_rows(suite)]
    table = Table(box=box.ROUNDED)
    table.add_column("pass@k")
    dated = any(row.kind == "quarter" for row in rows)
    table.add_column("tier or quarter" if dated else "tier")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("problems", justify="right")
    table.add_column("")
    for row in rows:
        interval = row.interval
        table.add_row(
            f"pass@{row.k}",
            "all" if row.kind == "overall" else row.name,
            _percent(interval["estimate"]),
            f"{_percent(interval['low'])} to {_percent(interval['high'])}",
            str(interval["problems"]),
            _interval_bar(interval),
            style="bold" if row.kind == "overall" and len(rows) > len(suite["pass_at_k"]) else None,
        )
    return table


def _interval_bar(interval: dict[str, Any]) -> Text:
    """The interval on a line from 0 to 1, with the estimate in it."""

    def column(value: float) -> int:
        return min(BAR_WIDTH - 1, int(value * BAR_WIDTH))

    low, high = column(interval["low"]), column(interval["high"])
    marks = ["·"] * BAR_WIDTH
    marks[low : high + 1] = "━" * (high + 1 - low)
    marks[column(interval["estimate"])] = "●"
    return Text("".join(marks), style="cyan")


def _outcomes(suite: dict[str, Any]) -> Group:
    width = max(len(outcome) for outcome in suite["outcomes"])
    errors = Counter(suite["runtime_errors"]).most_common(SHOWN_ERRORS)
    named = ", ".join(f"{name} ({count})" for name, count in errors)
    lines = [
        Text.assemble(
            f"  {outcome.replace('_', ' '):<{width}} {share:>6.1%}  ",
            ("█" * round(share * BAR_WIDTH), _STYLES.get(outcome, "red")),
            f"  {named}" if outcome == Outcome.runtime_error.value else "",
        )
        for outcome, share in suite["outcomes"].items()
        if share
    ]
    return Group(*lines)


def _remarks(suite: dict[str, Any]) -> list[str]:
    """What a reader must know to trust the figures."""
    remarks = []
    if missed := suite["data"].get("tiers_beyond_limit"):
        remarks.append(
            f"--limit leaves out every problem of the tier {' and the tier '.join(missed)}"
        )
    if suite["truncated"]:
        remarks.append(
            f"{suite['truncated']:.1%} of the completions were cut off at --max-new-tokens"
        )
    if suite["missing_libraries"]:
        libraries = ", ".join(f"{name} ({count})" for name, count in suite["libraries"].items())
        remarks.append(f"{suite['missing_libraries']:.1%} miss a library: {libraries}")
    if suite["infra_errors"]:
        remarks.append(
            f"{suite['infra_errors']:.1%} could not be judged for errors of the sandbox; --resume "
            f"judges them again"
        )
    for field, (count, example) in suite["data"]["left_out"].items():
        remarks.append(f"{count} records of the file were left out for {field}, such as {example}")
    return remarks


def _made_with(result: dict[str, Any]) -> str:
    parts = [result["model"] if result["judged_file"] is None else result["judged_file"]]
    if result["dtype"]:
        parts.append("/".join(result["dtype"]))
    if result["prompt"]:
        parts.append(f"{result['prompt']['style']} prompts")
    if result["tokens_per_s"]:
        parts.append(f"{result['tokens_per_s']:.0f} tokens/s")
    isolation = ", ".join(result["isolation"]) or "none judged"
    return f"{'; '.join(parts)}; sandbox isolation: {isolation}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
