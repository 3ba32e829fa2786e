"""`stepcoder data convert`: a data set of any format as our JSONL."""

from __future__ import annotations

from cyclopts import App

from curriculum.datasets.registry import FORMATS, Skipped
from curriculum.files import require_folder_of
from deploy.commands.data.source import (
    Notes,
    Output,
    Selection,
    SourcePath,
    report_skipped,
    write_output,
)
from deploy.progress import StageProgress

FORMAT_LINES = "\n".join(f"  {known.name}: {known.description}" for known in FORMATS.values())
app = App(
    name="convert",
    help_epilogue=f"""\
Formats:
{FORMAT_LINES}

Examples:
  stepcoder data convert mbpp.jsonl -o problems.jsonl --skip-bad
  stepcoder data convert mine.json -o problems.jsonl \\
      --map question=prompt.text tests=checks
  stepcoder data convert lcb -o lcb.jsonl --release v5 \\
      --from 2024-08-01 --to 2025-01-31
  stepcoder data convert APPS -o interview.jsonl --split train \\
      --tiers interview,competition""",
)


@app.default
def convert(source: SourcePath, /, *, output: Output, selection: Selection | None = None) -> int:
    """Read a data set of any format, write our JSONL."""
    require_folder_of(output)
    skipped, notes = Skipped(), Notes()
    try:
        with StageProgress() as progress:
            progress.begin("converting")
            problems = notes.of((selection or Selection()).read(source, skipped))
            write_output(output, progress.counting(problems))
    finally:
        report_skipped(skipped)
        notes.report()
    return 0
