"""`stepcoder data verify`: the problems whose solutions pass their tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from curriculum.datasets.registry import Skipped
from curriculum.files import require_folder_of
from deploy.commands.data.source import Output, Selection, SourcePath, report_skipped
from deploy.commands.limit_options import LimitOptions
from deploy.errors import ConfigError

app = App(
    name="verify",
    help_epilogue="""\
Examples:
  stepcoder data verify problems.jsonl -o kept.jsonl --report report.json

An interrupted verification goes on where it stopped when the command is given again.""",
)


@app.default
def verify(
    source: SourcePath,
    /,
    *,
    output: Output,
    report: Annotated[Path | None, Parameter(help="JSON file for the report.")] = None,
    runs: Annotated[int, Parameter(help="Runs of each solution.")] = 3,
    slots: Annotated[
        int | None, Parameter(help="Sandboxes at a time; one per processor by default.")
    ] = None,
    backend: Annotated[Literal["auto", "docker", "process"], Parameter(help="Sandbox.")] = "auto",
    limits: LimitOptions | None = None,
    selection: Selection | None = None,
) -> int:
    """Keep the problems whose solutions pass their tests in every run.

    The exit status is 1 where a sandbox failed on some problem, and 2 where no problem is kept.
    """
    if runs < 1 or (slots is not None and slots < 1):
        raise ConfigError("--runs and --slots must be at least 1")
    for written in (output, report):
        if written:
            require_folder_of(written)
    from deploy.report.data_tables import print_report
    from deploy.verify.report import sandbox_failed
    from deploy.verify.run import verify_data_set

    config = (limits or LimitOptions()).config(backend).model_copy(update={"coverage": False})
    chosen = selection or Selection()
    skipped = Skipped()
    if not sum(1 for _ in chosen.read(source, skipped)):
        raise ConfigError(f"{source}: no problem in it")
    report_skipped(skipped)
    result = verify_data_set(
        lambda: chosen.read(source, Skipped()),
        output,
        report,
        skipped,
        config=config,
        slots=slots or os.cpu_count() or 1,
        runs=runs,
    )
    print_report(result, output)
    if sandbox_failed(result):
        return 1
    if not result["kept"]:
        raise ConfigError(f"{source}: no problem is kept; {output} is unchanged")
    return 0
