"""Two runs side by side in the terminal: configuration, evaluations, training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.evaluation.figures import ProblemCounts
from actors.training.console import clock
from deploy.errors import ConfigError
from deploy.evaluation.comparison import Comparison, compare_suite, compare_tiers
from deploy.report.evaluation_table import unjudged_lines
from deploy.report.runs.groups import differences
from deploy.report.runs.history import RunHistory

WINDOW = 5
"""Steps that the figures of training are means of."""
CURVE_WIDTH = 12
_BLOCKS = "▁▂▃▄▅▆▇█"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    return f"{value:.4g}"


FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("reward", "reward", _number),
    ("pass rate", "pass_rate", _share),
    ("full-task pass rate", "pass_rate/full_task", _share),
    ("at the full task", "curriculum/full_task_share", _share),
    ("revealed share", "curriculum/revealed", _share),
    ("masked share", "learner/masked_share", _share),
    ("KL [nats]", "learner/kl", _number),
    ("entropy [nats]", "learner/entropy", _number),
    ("clipped share", "learner/clip_share", _share),
    ("completion [tokens]", "length/completion/mean", _number),
    ("cut off", "rollout/cut_short", _share),
    ("step [s]", "seconds/step", _number),
)
"""Name, column and form of each figure of training."""


@dataclass(frozen=True)
class SuitePair:
    """The last evaluations of one suite in two runs."""

    suite: str
    steps: tuple[int, int]
    comparison: Comparison | None
    """Of all problems; None where they cannot be paired."""
    reason: str = ""
    """Why not."""
    tiers: tuple[Comparison, ...] = ()
    """Of each tier, where there are several."""


def compare_evaluations(a: RunHistory, b: RunHistory) -> list[SuitePair]:
    """The last evaluations of the suites that both runs have, paired by problem."""
    pairs = []
    for suite in (suite for suite in a.suites if suite in b.suites):
        (step_a, counts_a), (step_b, counts_b) = (_last_counts(run, suite) for run in (a, b))
        steps = (step_a, step_b)
        try:
            whole = compare_suite(suite, 1, counts_a, counts_b)
            tiers = tuple(compare_tiers(suite, 1, counts_a, counts_b))
            pairs.append(SuitePair(suite, steps, whole, tiers=tiers))
        except ConfigError as error:
            pairs.append(SuitePair(suite, steps, None, str(error)))
    return pairs


def _last_counts(run: RunHistory, suite: str) -> tuple[int, list[ProblemCounts]]:
    rows = [row for row in run.problems if row["suite"] == suite]
    if not rows:
        return 0, []
    problems = rows[-1]["problems"].items()
    return rows[-1]["step"], [ProblemCounts(problem=key, **counts) for key, counts in problems]


def print_run_comparison(a: RunHistory, b: RunHistory, console: Console | None = None) -> None:
    """Print what differs between two runs, and their figures side by side."""
    console = console or Console(width=100, highlight=False)
    names = (a.name, b.name) if a.name != b.name else (str(a.folder), str(b.folder))
    _print(console, "what differs in the configuration", _configuration(a, b, names))
    pairs = compare_evaluations(a, b)
    if pairs:
        _print(
            console, "pass@1 of the last evaluations, paired by problem", _evaluations(pairs, names)
        )
        console.print(f"in percentage points; won: {names[1]} solves it more often", style="dim")
    for suite in sorted({*a.suites} ^ {*b.suites}):
        only = names[0] if suite in a.suites else names[1]
        console.print(f"not compared: {suite}, in {only} only", markup=False)
    for pair in pairs:
        if pair.comparison is None:
            console.print(f"not compared: {pair.reason}", markup=False)
        else:
            for line in unjudged_lines(pair.comparison, *names):
                console.print(line, style="yellow", markup=False)
    common = min(a.step, b.step)
    if common:
        first = max(1, common - WINDOW + 1)
        title = f"training, means of steps {first} to {common}"
        _print(console, title, _training(a, b, names, first, common))
    _print(console, "the whole of each run", _totals(a, b, names))


def _print(console: Console, title: str, table: Table) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    console.print(table if table.row_count else "nothing")


def _table(*headings: str, words: int = 1) -> Table:
    table = Table(box=box.ROUNDED)
    for position, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if position < words else "right",
                         overflow="fold")  # fmt: skip
    return table


def _configuration(a: RunHistory, b: RunHistory, names: tuple[str, str]) -> Table:
    table = _table("key", *names, words=3)
    for key, values in differences([a, b]):
        table.add_row(Text(key), *(Text(_plain(value)) for value in values))
    return table


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


def _evaluations(pairs: list[SuitePair], names: tuple[str, str]) -> Table:
    table = _table("suite", "after steps", *names, "difference", "95 % interval", "won", "lost")
    rows = [(pair, row) for pair in pairs for row in (pair.comparison, *pair.tiers) if row]
    for pair, compared in rows:
        difference = compared.difference
        table.add_row(
            Text(f"  {compared.tier}" if compared.tier else pair.suite),
            "" if compared.tier else " / ".join(map(str, dict.fromkeys(pair.steps))),
            f"{100 * compared.a.estimate:.1f}",
            f"{100 * compared.b.estimate:.1f}",
            f"{100 * difference.estimate:+.1f}",
            f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}",
            str(len(compared.won)),
            str(len(compared.lost)),
        )
    return table


def _training(a: RunHistory, b: RunHistory, names: tuple[str, str], first: int, last: int) -> Table:
    table = _table("figure", names[0], "", names[1], "", "difference")
    for curve in (0, 2, 4):
        table.columns[curve].no_wrap = True
    for name, column, form in FIGURES:
        points = [run.column(column) for run in (a, b)]
        values = [[v for step, v in of if first <= step <= last] for of in points]
        if not all(values):
            continue
        mean_a, mean_b = map(fmean, values)
        curves = [[v for step, v in of if step <= last] for of in points]
        low, high = min(map(min, curves)), max(map(max, curves))
        line_a, line_b = (Text(_curve(of, low, high), style="cyan") for of in curves)
        sign = "+" if mean_b >= mean_a else "-"
        gap = sign + form(abs(mean_b - mean_a))
        table.add_row(Text(name), form(mean_a), line_a, form(mean_b), line_b, gap)
    return table


def _curve(values: list[float], low: float, high: float) -> str:
    """A curve of at most `CURVE_WIDTH` characters; both runs share its scale."""
    size = max(1, -(-len(values) // CURVE_WIDTH))
    means = [fmean(values[at : at + size]) for at in range(0, len(values), size)]
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((len(_BLOCKS) - 1) * (mean - low) / span)] for mean in means)


def _totals(a: RunHistory, b: RunHistory, names: tuple[str, str]) -> Table:
    table = _table("", *names)
    rows: tuple[tuple[str, Callable[[RunHistory], str]], ...] = (
        ("steps", lambda run: f"{run.step} of {run.planned_steps}"),
        ("time", lambda run: clock(run.seconds)),
        ("samples trained", lambda run: _sum(run, "ledger/trained")),
        ("samples dropped", lambda run: _sum(run, "ledger/dropped")),
        ("restarts", lambda run: _restarts(run)),
    )
    for name, value in rows:
        table.add_row(name, value(a), value(b))
    return table


def _sum(run: RunHistory, column: str) -> str:
    return str(int(sum(value for _, value in run.column(column))))


def _restarts(run: RunHistory) -> str:
    last = run.steps[-1] if run.steps else {}
    counts = {key: int(value) for key, value in last.items() if key.startswith("restarts/")}
    named = [f"{count} {key.partition('/')[2]}" for key, count in counts.items() if count]
    return ", ".join(named) or "none"
