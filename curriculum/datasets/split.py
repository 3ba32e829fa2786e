"""A seeded division of problems into training and held-out ones."""

from collections.abc import Sequence
from random import Random
from typing import Literal

from curriculum.problem import Problem

By = Literal["tier", "source", "nothing"]


def split_problems(
    problems: Sequence[Problem], share: float, by: By, seed: int
) -> tuple[list[Problem], list[Problem]]:
    """Training and held-out problems, each in the order of the file.

    Problems with one question stay together: a run refuses two files that share one. They count as
    of the first one's group.

    Args:
        problems: all of them.
        share: of the questions, held out in each group; rounded, and at least one where the group
            has two.
        by: what a group has in common.
        seed: the same gives the same division.
    """
    groups: dict[str, list[str]] = {}
    for question, first in _first_by_question(problems).items():
        groups.setdefault(_group(first, by), []).append(question)
    heldout: set[str] = set()
    for name, questions in groups.items():
        number = max(round(share * len(questions)), 1 if len(questions) > 1 else 0)
        heldout |= set(Random(f"{seed}/{name}").sample(questions, number))
    train = [problem for problem in problems if problem.question not in heldout]
    return train, [problem for problem in problems if problem.question in heldout]


def _first_by_question(problems: Sequence[Problem]) -> dict[str, Problem]:
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.question, problem)
    return first


def _group(problem: Problem, by: By) -> str:
    return {"tier": problem.difficulty, "source": problem.source, "nothing": ""}[by]
