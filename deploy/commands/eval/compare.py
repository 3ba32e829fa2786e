"""`stepcoder eval compare`: two evaluations, paired by problem."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="compare",
    help_epilogue="""\
Examples:
  stepcoder eval compare runs/eval/before runs/eval/after
  stepcoder compare runs/hot runs/no-mask                   two training runs""",
)


@app.default
def compare(
    a: Annotated[Path, Parameter(help="Folder of one evaluation.")],
    b: Annotated[Path, Parameter(help="Folder of the other.")],
    /,
    *,
    json_output: Annotated[bool, Parameter("--json", help="Print JSON.")] = False,
) -> int:
    """Compare two evaluations, paired by problem: the difference of b from a with its interval."""
    from deploy.evaluation.comparison import compare as compared
    from deploy.evaluation.comparison import suites_of_one
    from deploy.evaluation.folder import EvaluationFolder
    from deploy.report.evaluation_table import print_comparison

    folders = EvaluationFolder(a), EvaluationFolder(b)
    comparisons = compared(*folders)
    if json_output:
        print(json.dumps([asdict(comparison) for comparison in comparisons]))
    else:
        print_comparison(comparisons, a, b, alone=suites_of_one(*folders))
    return 0
