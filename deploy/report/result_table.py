"""The tables of a finished run: pass rates, outcomes, seconds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from actors.training.console import clock
from curriculum.problem import TIERS
from deploy.errors import ConfigError

STAGES = {
    "rollout": "generation (vLLM)",
    "sandbox": "judging left over after generation",
    "learn": "masked PPO (DeepSpeed)",
    "broadcast": "weight broadcast",
}
"""Stages of a step, and the names of their rows."""


def print_result(result: dict[str, Any], folder: Path, console: Console | None = None) -> None:
    """Print the result of a finished run."""
    console = console or Console(width=100, highlight=False)
    for title, table in (_passes(result), _outcomes(result), _seconds(result)):
        console.print(f"\n[bold]{title}[/bold]")
        console.print(table)
    console.print()
    weights = result["weights"]
    console.print(
        f"weights: {weights['broadcasts']} broadcasts, {weights['parity_checks']} parity checks "
        f"(largest log-prob difference {weights['max_logprob_diff']:.1e})"
    )
    console.print(
        f"samples: {result['samples']['asked']} asked, {result['samples']['trained']} trained, "
        f"{result['samples']['dropped']} dropped; sandbox isolation: {result['isolation']}"
    )
    console.print(f"run folder: {folder}", markup=False, soft_wrap=True)


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=box.ROUNDED)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _passes(result: dict[str, Any]) -> tuple[str, Table]:
    before, after = result["eval"]["before"], result["eval"]["after"]
    table = _table("tier", "before RL", "after RL", "gain")
    for tier in (*TIERS, "overall"):
        if tier in before["pass_at_1"]:
            old, new = before["pass_at_1"][tier], after["pass_at_1"][tier]
            style = "bold" if tier == "overall" else None
            cells = [_rate(evaluation, tier) for evaluation in (before, after)]
            interval = result.get("gain_interval") if tier == "overall" else None
            ends = f" [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
            table.add_row(tier, *cells, f"{new - old:+.3f}{ends}", style=style)
    asked = f"{before['problems']} problems, {before['samples']} samples"
    return f"pass@1 on held-out problems, from the empty prefix ({asked})", table


def _rate(evaluation: dict[str, Any], tier: str) -> str:
    """A pass rate with its 95 % interval, where it is recorded."""
    rate = f"{evaluation['pass_at_1'][tier]:.3f}"
    interval = evaluation.get("intervals", {}).get(tier)
    return f"{rate} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else rate


def _outcomes(result: dict[str, Any]) -> tuple[str, Table]:
    before, after = result["eval"]["before"], result["eval"]["after"]
    table = _table("outcome", "before RL", "after RL")
    for outcome, share in before["outcomes"].items():
        if share or after["outcomes"][outcome]:
            table.add_row(
                outcome.replace("_", " "), f"{share:.1%}", f"{after['outcomes'][outcome]:.1%}"
            )
    return "outcomes in evaluation", table


def _seconds(result: dict[str, Any]) -> tuple[str, Table]:
    seconds, steps = result["seconds"], max(1, result["steps"])
    table = _table("stage", "per step", "whole run", "share of run")

    def row(name: str, total: float, per_step: bool) -> None:
        mean = f"{total / steps:.2f}" if per_step else ""
        table.add_row(name, mean, f"{total:.0f}", f"{total / seconds['total']:.0%}")

    row("warm start (SFT)", seconds["warm_start"], False)
    row("loading models and sandboxes", seconds["start"], False)
    for stage, name in STAGES.items():
        row(name, seconds.get(stage, 0.0), True)
    row("evaluation", seconds.get("evaluate", 0.0), False)
    whole = clock(seconds["total"])
    return f"seconds per stage ({result['steps']} steps, whole run {whole})", table


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a finished run, as `result.json` holds it.

    Raises:
        FileNotFoundError: the run in `folder` has not finished.
        ConfigError: the file does not hold what `print_result` prints.
    """
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        print_result(result, folder, Console(file=io.StringIO()))
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        missing = isinstance(error, KeyError)
        reason = f"no {error} in it" if missing else "its values are not those of a result"
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except (ValueError, RecursionError):
        reason = "not JSON"
    else:
        return result
    raise ConfigError(f"{path}: not the result of a run ({reason}); run it again with --overwrite")
