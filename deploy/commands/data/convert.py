"""`stepcoder data convert`: a data set of any format as our JSONL."""

from __future__ import annotations

from cyclopts import App

from curriculum.datasets.registry import Skipped
from deploy.commands.data.source import Output, Selection, SourcePath, report_skipped, write_output

app = App(
    name="convert",
    help_epilogue="""\
Examples:
  stepcoder data convert mbpp.jsonl -o problems.jsonl --skip-bad
  stepcoder data convert APPS -o interview.jsonl --split train --tiers interview,competition""",
)


@app.default
def convert(source: SourcePath, /, *, output: Output, selection: Selection | None = None) -> int:
    """Read a data set of any format, write our JSONL."""
    skipped = Skipped()
    try:
        write_output(output, (selection or Selection()).read(source, skipped))
    finally:
        report_skipped(skipped)
    return 0
