"""Data sets as configured: problems to train on, and others to be judged by."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from curriculum.config import DataConfig
from curriculum.datasets.problem_file import read_problems
from curriculum.datasets.registry import detect
from curriculum.errors import BadRecord, UnusableData
from curriculum.problem import Problem
from curriculum.synthetic.problems import synthetic_problems


class DataSet(NamedTuple):
    """Two lists of problems that share neither a question nor an id."""

    train: list[Problem]
    heldout: list[Problem]


def load_dataset(config: DataConfig) -> DataSet:
    """Load or make the problems of a configuration.

    Synthetic held-out problems depend on their own seed only, so that runs with other training
    sets are judged by the same problems. Raises `BadRecord` or `OSError` for a file that cannot be
    read, and `UnusableData` where the two sets share a question or an id, one is empty, or one is
    in another form than ours.
    """
    if config.kind == "synthetic":
        heldout = synthetic_problems(
            config.heldout_seed, config.heldout_per_tier, name="synthetic-heldout"
        )
        asked = {problem.question for problem in heldout}
        train = synthetic_problems(config.train_seed, config.train_per_tier, exclude=asked)
        return DataSet(train, heldout)
    assert config.train_path is not None  # the configuration was validated
    assert config.heldout_path is not None
    train, heldout = _read(config.train_path), _read(config.heldout_path)
    _refuse_shared(train, heldout)
    return DataSet(train, heldout)


def _read(path: Path) -> list[Problem]:
    try:
        problems = read_problems(path)
    except (BadRecord, IsADirectoryError) as error:
        if detect(path) == "ours":
            raise
        raise UnusableData(
            f"{error}; a data set that is no JSONL of ours is converted first: "
            f"`stepcoder data convert {path} -o problems.jsonl`"
        ) from None
    if not problems:
        raise UnusableData(f"{path}: no problems in it")
    return problems


def _refuse_shared(train: Sequence[Problem], heldout: Sequence[Problem]) -> None:
    ids = {problem.id for problem in heldout}
    id_of = {problem.question: problem.id for problem in heldout}
    for problem in train:
        if problem.id in ids:
            raise UnusableData(f"training and held-out problems share the id {problem.id!r}")
        if problem.question in id_of:
            raise UnusableData(
                f"training problem {problem.id!r} asks the same as held-out problem "
                f"{id_of[problem.question]!r}"
            )
