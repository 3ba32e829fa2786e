"""StepCoder's own format: JSONL with one `Problem` per line (`datasets.problem_file`)."""

from pathlib import Path

from curriculum.datasets.formats.format import Format, Reading, has_keys
from curriculum.datasets.problem_file import iter_problems


def read(path: Path) -> Reading:
    """Stream the problems of a file."""
    for _, problem in iter_problems(path):
        yield problem


FORMAT = Format(
    name="stepcoder",
    description="StepCoder's own JSONL, which a run reads and `stepcoder data convert` writes",
    recognises=has_keys(("id", "question", "solution", "tests")),
    read=read,
)
