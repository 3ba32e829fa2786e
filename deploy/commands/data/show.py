"""`stepcoder data show`: one problem with its cut points."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from curriculum.datasets.registry import Skipped
from deploy.commands.data.source import (
    ALL_KINDS,
    Kinds,
    Selection,
    SourcePath,
    start_point_kinds,
)
from deploy.errors import ConfigError

app = App(name="show", help_epilogue="Examples:\n  stepcoder data show problems.jsonl mbpp/1")


@app.default
def show(
    source: SourcePath,
    problem_id: Annotated[str, Parameter(help="The problem's id, as `convert` writes it.")],
    /,
    *,
    kinds: Kinds = ALL_KINDS,
    selection: Selection | None = None,
) -> int:
    """Print one problem: question, solution with cut points, tests."""
    from deploy.report.data_tables import print_problem

    chosen = start_point_kinds(kinds)
    for problem in (selection or Selection()).read(source, Skipped()):
        if problem.id == problem_id:
            print_problem(problem, chosen)
            return 0
    raise ConfigError(f"{source}: no problem {problem_id!r} in it")
