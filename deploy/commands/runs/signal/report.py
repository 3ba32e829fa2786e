"""`stepcoder signal report`: table, page and picture of stored measurements."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

app = App(
    name="report",
    help_epilogue="""\
Examples:
  stepcoder signal report docs/signal
  stepcoder signal report docs/signal --markdown docs/signal.md \\
      --picture docs/images/signal.svg

The same measurements make the same bytes.""",
)


@app.default
def report(
    *files: Annotated[Path, Parameter(help="Files of measurements, or folders of them.")],
    markdown: Annotated[Path | None, Parameter(help="Write the Markdown page here.")] = None,
    picture: Annotated[
        Path | None, Parameter(help="Draw what each mask changes: .png, .svg or .pdf.")
    ] = None,
) -> int:
    """Print what stored measurements say, and write it as Markdown."""
    from rich.console import Console

    from curriculum.files import write_atomic
    from deploy.report.ablation.table import print_table
    from deploy.report.signal.markdown import signal_markdown
    from deploy.report.signal.picture import draw_signals
    from deploy.report.signal.tables import condition_table, sentences
    from deploy.signal.stored import read_signals

    if not files:
        raise ConfigError("signal report: no file given, such as docs/signal")
    signals = read_signals(files)
    print_table(condition_table(signals), Console())
    for sentence in sentences(signals):
        print(sentence)
    if picture is not None:
        draw_signals(signals, picture)
        print(f"\npicture: {picture}")
    if markdown is not None:
        shown = None if picture is None else os.path.relpath(picture, markdown.parent)
        words = ["stepcoder signal report", *map(str, files), f"--markdown {markdown}"]
        words += [] if picture is None else [f"--picture {picture}"]
        write_atomic(markdown, signal_markdown(signals, shown, " ".join(words)))
        print(f"\nmarkdown: {markdown}")
    return 0
