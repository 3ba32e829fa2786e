"""Streams a file of problems with the curriculum package and nothing else.

    python -m deploy.bench.curriculum.stream FILE

Run as a program, it prints its own peak memory in megabytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from curriculum.datasets.problem_file import iter_problems
from curriculum.errors import BadRecord
from curriculum.start_points import START_POINT_KINDS
from curriculum.subtask import Subtask, cut_at, solution_points, stage_count

_KINDS = frozenset(START_POINT_KINDS)


def load_and_cut(path: Path) -> Iterator[Subtask]:
    """Stream a file: every problem validated and cut at its first stage.

    Raises:
        BadRecord: a line holds no valid problem.
    """
    for _, problem in iter_problems(path):
        if isinstance(problem, BadRecord):
            raise problem
        points = solution_points(problem, _KINDS)
        yield cut_at(problem, stage_count(len(points)) - 1, points)


def _peak_mb(path: Path) -> float:
    for _ in load_and_cut(path):
        pass
    # getrusage would also count the process that started this one.
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) * 1024 / 1e6


if __name__ == "__main__":
    print(_peak_mb(Path(sys.argv[1])))
