"""`stepcoder data show`: one problem with its cut points."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from deploy.commands.data.source import (
    ALL_KINDS,
    Kinds,
    Selection,
    SourcePath,
    find_problem,
    start_point_kinds,
)

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
    print_problem(find_problem(selection or Selection(), source, problem_id), chosen)
    return 0
