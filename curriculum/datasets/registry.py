"""Every form of data set that can be read, and which form a path has."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from curriculum.datasets.formats import called
from curriculum.datasets.formats.apps import is_apps_folder, read_apps_folder, read_apps_parquet
from curriculum.datasets.formats.apps_plus import iter_apps_plus
from curriculum.datasets.jsonl import json_objects
from curriculum.datasets.problem_file import iter_problems
from curriculum.errors import BadRecord
from curriculum.problem import Problem, Tier

Form = Literal["ours", "apps_plus", "apps", "apps_parquet", "human_eval", "mbpp", "leetcode"]
FORMS: tuple[Form, ...] = get_args(Form)

Reading = Iterator[Problem | BadRecord]
"""Problems in file order; a record that is wrong comes as what is wrong with it."""

_OUR_KEYS = frozenset({"id", "question", "canonical_solution", "tests"})
_KEYS: dict[Form, frozenset[str]] = {
    "mbpp": called.MBPP_KEYS,
    "leetcode": called.LEETCODE_KEYS,
    "human_eval": called.HUMAN_EVAL_KEYS,
    "ours": _OUR_KEYS,
}
"""Keys by which the first record of a JSONL file tells its form; anything else is `apps_plus`."""
EXAMPLES_KEPT = 3


@dataclass
class Skipped:
    """Records that were left out, by cause: the field that was wrong."""

    counts: dict[str, int] = field(default_factory=dict)
    """Field to number of records."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Field to the first few complaints, whole."""

    @property
    def total(self) -> int:
        """Number of records left out."""
        return sum(self.counts.values())

    def add(self, error: BadRecord) -> None:
        """Count one record."""
        self.counts[error.field] = self.counts.get(error.field, 0) + 1
        kept = self.examples.setdefault(error.field, [])
        if len(kept) < EXAMPLES_KEPT:
            kept.append(str(error))


def read_source(
    path: Path | str,
    form: Form | None = None,
    *,
    split: str | None = None,
    tiers: Collection[Tier] = (),
    skipped: Skipped | None = None,
) -> Iterator[Problem]:
    """Stream the problems of a data set.

    Only the ids are kept in memory (and a whole document, where the file is one JSON document).

    Args:
        path: the file, or APPS's folder.
        form: how it is laid out; None: as `detect` finds.
        split: `train` or `test` of an APPS folder; None: both.
        tiers: which to keep; none given keeps all.
        skipped: counts records that are wrong, which are then left out; None raises at the first.

    Raises:
        BadRecord: names file, record and field; also with `skipped` where the rest of a file
            cannot be read.
        OSError: the path cannot be opened.
        ValueError: `split` for a form that has none.
    """
    path = Path(path)
    form = form or detect(path)
    if split is not None and form != "apps":
        raise ValueError(f"{path}: only an APPS folder has splits; this is read as {form!r}")
    reading = read_apps_folder(path, split) if form == "apps" else _READERS[form](path)
    seen: set[str] = set()
    for found in reading:
        if isinstance(found, Problem) and found.id in seen:
            found = BadRecord(path, f"problem {found.id!r}", "id", "stood in an earlier record")
        if isinstance(found, BadRecord):
            if skipped is None:
                raise found
            skipped.add(found)
            continue
        seen.add(found.id)
        if not tiers or found.difficulty in tiers:
            yield found


def detect(path: Path | str) -> Form:
    """The form of a file or folder, by its name and the keys of its first record.

    Raises `BadRecord` for a folder without problem folders, `OSError` where nothing is there.
    """
    path = Path(path)
    if path.is_dir():
        if is_apps_folder(path):
            return "apps"
        raise BadRecord(path, "folder", "question.txt", "no problem folder in it")
    if path.suffix == ".parquet":
        return "apps_parquet"
    _, first = next(json_objects(path), (0, None))
    if isinstance(first, dict):
        for form, keys in _KEYS.items():
            if keys <= first.keys():
                return form
    return "apps_plus"


def _read_ours(path: Path) -> Reading:
    for _, problem in iter_problems(path):
        yield problem


def _read_lines(problem_of: Callable[[Path, str, dict[str, Any]], Problem], path: Path) -> Reading:
    for index, record in json_objects(path):
        if isinstance(record, BadRecord):
            yield record
            continue
        try:
            yield problem_of(path, f"record {index}", record)
        except BadRecord as error:
            yield error


_READERS: dict[Form, Callable[[Path], Reading]] = {
    "ours": _read_ours,
    "apps_plus": iter_apps_plus,
    "apps_parquet": read_apps_parquet,
    "human_eval": partial(_read_lines, called.human_eval_problem),
    "mbpp": partial(_read_lines, called.mbpp_problem),
    "leetcode": partial(_read_lines, called.leetcode_problem),
}
