"""The data set of a run: problems to train on, and held-out ones to evaluate on."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from curriculum.config import DataConfig
from curriculum.datasets.formats import stepcoder
from curriculum.datasets.problem_file import read_problems
from curriculum.datasets.registry import detect
from curriculum.errors import BadRecord, CurriculumError, UnusableData
from curriculum.problem import Problem
from curriculum.synthetic.problems import synthetic_problems

logger = logging.getLogger(__name__)

EXPECTED = "expected a file of problems, such as `stepcoder data convert` writes"


class DataSet(NamedTuple):
    """Two lists of problems that share neither a question nor an id."""

    train: list[Problem]
    heldout: list[Problem]


def load_dataset(config: DataConfig) -> DataSet:
    """Read or generate the problems of a configuration.

    Synthetic held-out problems depend on their own seed alone, so runs with different training sets
    are evaluated on the same problems.

    Raises:
        UnusableData: a file cannot be read, is empty, has a record that is not a problem or has
            another form than StepCoder's own, or no training problem whose tests may be trusted; or
            the two sets share a question or an id.
    """
    if config.kind == "synthetic":
        heldout = synthetic_problems(
            config.heldout_seed, config.heldout_per_tier, name="synthetic-heldout"
        )
        questions = {problem.question for problem in heldout}
        train = synthetic_problems(config.train_seed, config.train_per_tier, exclude=questions)
        return DataSet(train, heldout)
    assert config.train_path is not None  # the configuration was validated
    assert config.heldout_path is not None
    train = _read("data.train_path", config.train_path)
    if config.untrusted_tests == "leave_out":
        train = _with_trusted_tests(train, config.train_path)
    heldout = _read("data.heldout_path", config.heldout_path)
    _refuse_shared(train, heldout)
    return DataSet(train, heldout)


def _read(key: str, path: Path) -> list[Problem]:
    try:
        problems = read_problems(path)
    except (BadRecord, OSError) as error:
        raise UnusableData(f"{key} {_fault_and_remedy(path, error)}") from error
    if not problems:
        raise UnusableData(f"{key} {path}: no problems in it; {EXPECTED}")
    return problems


def _with_trusted_tests(problems: list[Problem], path: Path) -> list[Problem]:
    """The problems whose tests are not code; says how many others there are."""
    kept = [problem for problem in problems if problem.assertions is None]
    remedy = "data.untrusted_tests train trains on them"
    if not kept:
        raise UnusableData(
            f"data.train_path {path}: the tests of all {len(problems)} problems are code, which a "
            f"program could forge; {remedy}"
        )
    if len(kept) < len(problems):
        logger.warning(
            "left out %d of %d training problems, whose tests are code; %s",
            len(problems) - len(kept), len(problems), remedy,
        )  # fmt: skip
    return kept


def _fault_and_remedy(path: Path, error: BadRecord | OSError) -> str:
    convert = f"`stepcoder data convert {path} -o problems.jsonl"
    fault = str(error)
    if isinstance(error, OSError):
        fault = f"{path}: {error.strerror or error}"
        if not path.is_dir():
            return f"{fault}; {EXPECTED}"
    try:
        format = detect(path)
    except CurriculumError as unreadable:
        return f"{unreadable}; {EXPECTED}"
    if format is stepcoder.FORMAT:
        return f"{fault}; correct that record, or leave it out: {convert} --skip-bad`"
    return f"{fault}; convert a data set of another form first: {convert}`"


def _refuse_shared(train: Sequence[Problem], heldout: Sequence[Problem]) -> None:
    heldout_ids = {problem.id for problem in heldout}
    id_of_question = {problem.question: problem.id for problem in heldout}
    for problem in train:
        if problem.id in heldout_ids:
            raise UnusableData(
                f"data.train_path and data.heldout_path share the id {problem.id!r}; remove it "
                f"from one of them"
            )
        if problem.question in id_of_question:
            raise UnusableData(
                f"training problem {problem.id!r} asks the same as held-out problem "
                f"{id_of_question[problem.question]!r}; remove one of them from data.train_path "
                f"or data.heldout_path"
            )
