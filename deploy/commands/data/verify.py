"""`stepcoder data verify`: the problems whose solutions pass their tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from curriculum.datasets.registry import Skipped
from curriculum.files import require_folder_of
from deploy.commands.data.source import Output, Selection, SourcePath, report_skipped
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
    wall_seconds: Annotated[float, Parameter(help="Time limit of one run [seconds].")] = 10.0,
    selection: Selection | None = None,
) -> int:
    """Keep the problems whose solutions pass their tests in every run.

    The exit status is 1 where a sandbox failed on some problem.
    """
    if runs < 1 or (slots is not None and slots < 1):
        raise ConfigError("--runs and --slots must be at least 1")
    if not 0 < wall_seconds <= 3600:
        raise ConfigError(f"--wall-seconds: {wall_seconds} is not within 0 and 3600")
    for written in (output, report):
        if written:
            require_folder_of(written)
    from deploy.report.data_tables import print_report
    from deploy.verify.report import sandbox_failed
    from deploy.verify.run import verify_data_set
    from sandbox import Limits, SandboxConfig

    limits = Limits(wall_seconds=wall_seconds, cpu_seconds=max(1, int(wall_seconds)))
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
        config=SandboxConfig(backend=backend, limits=limits, coverage=False),
        slots=slots or os.cpu_count() or 1,
        runs=runs,
    )
    print_report(result, output)
    return 1 if sandbox_failed(result) else 0
