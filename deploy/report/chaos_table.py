"""The table that `stepcoder chaos` ends with."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from deploy.chaos.comparison import Comparison


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print what was killed, what the run did, and whether it passed."""
    table = Table(title="chaos", title_justify="left", title_style="bold", show_header=False)
    table.add_column("what")
    table.add_column("value")
    kills = ", ".join(f"{kind} {count}" for kind, count in sorted(comparison.kills.items()))
    samples = comparison.samples
    table.add_row("killed", f"{sum(comparison.kills.values())}: {kills}")
    table.add_row("driver starts", str(comparison.driver_starts))
    table.add_row("exit status", str(comparison.exit_status))
    table.add_row("every step once, in order", "yes" if comparison.steps_in_order_once else "NO")
    table.add_row(
        "samples",
        f"{samples.get('asked', 0)} asked, {samples.get('trained', 0)} trained, "
        f"{samples.get('dropped', 0)} dropped, {comparison.samples_unaccounted} unaccounted for",
    )
    required = "" if comparison.repeatable else " (not required: off-policy or samples dropped)"
    table.add_row(
        "pass rate per step",
        f"{comparison.equal_steps} of {comparison.steps} steps equal the undisturbed run{required}",
    )
    if comparison.curve_distance is not None:
        table.add_row(
            "mean pass rate",
            f"{comparison.curve_distance:+.4f} from the undisturbed run's "
            f"(standard error {comparison.curve_noise:.4f})",
        )
    table.add_row("gain", _beside(comparison.gain, comparison.gain_undisturbed, "+.3f"))
    table.add_row("seconds", _beside(comparison.seconds, comparison.seconds_undisturbed, ".0f"))
    table.add_row("verdict", "\n".join(comparison.failures) or "passed")
    (console or Console(highlight=False)).print(table)


def _beside(value: float | None, undisturbed: float | None, form: str) -> str:
    texts = ["none" if number is None else f"{number:{form}}" for number in (value, undisturbed)]
    return f"{texts[0]}, undisturbed {texts[1]}"
