"""`stepcoder ablate arms`: the arms and what each sets."""

from __future__ import annotations

from cyclopts import App

app = App(name="arms", help_epilogue="Examples:\n  stepcoder ablate arms")


@app.default
def arms() -> int:
    """List the arms with what they are and what they set."""
    from rich.console import Console

    from deploy.ablation.arms import ARMS, SETS
    from deploy.report.ablation.table import TextTable, print_table

    rows = [
        [arm.name, arm.summary, " ".join(f"{key}={value}" for key, value in arm.overrides.items())]
        for arm in ARMS.values()
    ]
    caption = "; ".join(f"{name} stands for {', '.join(names)}" for name, names in SETS.items())
    print_table(
        TextTable("Arms", caption, ("arm", "what it is", "sets"), rows, words=3),
        Console(width=120, highlight=False),
    )
    return 0
