"""The Markdown page of stored measurements: `docs/signal.md`."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.report.ablation.table import as_markdown, wrapped
from deploy.report.signal.tables import condition_table, part_table, position_table, sentences
from deploy.signal.stored import StoredSignal

BEGINNING = """\
# When does FGO help?

FGO leaves the tokens of statements that no test executed out of the policy loss. It can help by
taking noise out of the gradient, and it can harm by turning it. Both are measured here on recorded
rollouts, without training: `stepcoder signal` computes the policy gradient of every group with
each mask, and from their inner products the squared mean over the variance from group to group.
`random` leaves as many tokens of each response out as FGO, at random: what it changes as well is
not due to which tokens FGO leaves out. Whole trainings are compared in [Results](results.md).
"""


def signal_markdown(signals: Sequence[StoredSignal], picture: str | None, command: str) -> str:
    """The whole page.

    Args:
        signals: at least one.
        picture: path of the picture from the page.
        command: what writes the page.
    """
    lines = [
        BEGINNING,
        wrapped(f"This page is written by `{command}`; a test compares the two."),
        "",
    ]
    lines += [wrapped(" ".join([*sentences(signals), _made(signals)])), ""]
    if picture is not None:
        lines += [f"![change of the signal-to-noise ratio by each mask]({picture})", ""]
    for table in (condition_table(signals), part_table(signals), position_table(signals)):
        lines += as_markdown(table, 2)
    return "\n".join(lines).rstrip("\n") + "\n"


def _made(signals: Sequence[StoredSignal]) -> str:
    machines = sorted({f"{s.machine.processor}, {s.machine.cores} cores" for s in signals})
    dates = sorted({signal.date for signal in signals})
    on = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured on {'; '.join(machines)} ({on})."
