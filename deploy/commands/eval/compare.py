"""`stepcoder eval compare`: two evaluations, paired by problem."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def compare(
    a: Annotated[Path, Parameter(help="Folder of one evaluation.")],
    b: Annotated[Path, Parameter(help="Folder of the other.")],
    /,
    *,
    json_output: Annotated[bool, Parameter("--json", help="Print JSON.")] = False,
) -> int:
    """Compare two evaluations, paired by problem: the difference of b from a with its interval.

    Examples:
      stepcoder eval compare runs/eval/before runs/eval/after
    """
    from deploy.evaluation.comparison import compare as compared
    from deploy.evaluation.folder import EvaluationFolder
    from deploy.report.evaluation_table import print_comparison

    comparisons = compared(EvaluationFolder(a), EvaluationFolder(b))
    if json_output:
        print(json.dumps([asdict(comparison) for comparison in comparisons]))
    else:
        print_comparison(comparisons, a, b)
    return 0
