"""The rows of a run's files, checked as they are read: damage is named, and never drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StrictInt, StrictStr, ValidationError, model_validator

from curriculum.problem import Tier

Count = Annotated[StrictInt, Field(ge=0)]
Stage = Annotated[StrictInt, Field(ge=-1)]


class _Counts(BaseModel):
    tier: Tier
    digest: StrictStr
    samples: Annotated[StrictInt, Field(ge=1)]
    passed: Count
    judged: Count
    published: StrictStr | None = None

    @model_validator(mode="after")
    def _are_counts(self) -> Self:
        if not self.passed <= self.judged <= self.samples:
            raise ValueError(
                f"{self.passed} passed of {self.judged} judged of {self.samples} samples"
            )
        return self


class _Evaluation(BaseModel):
    suite: StrictStr
    problems: dict[str, _Counts]


class _FirstStages(BaseModel):
    problems: Annotated[dict[str, tuple[Tier, Count, Stage]], Field(min_length=1)]


class _Stages(BaseModel):
    stages: dict[str, Stage]
    asked: list[tuple[StrictStr, Stage, Count, Count]] = []
    counts: dict[str, Count] = {}


def check_metrics(rows: Sequence[dict[str, Any]]) -> None:
    """Every figure is a finite number, and a suite has a name.

    Raises:
        ValueError: of another row; says which figure at which step.
    """
    for row in rows:
        for name, value in row.items():
            good = (
                isinstance(value, str)
                if name == "suite"
                else type(value) in (int, float) and math.isfinite(value)
            )
            if not good:
                raise ValueError(f"step {row['step']}: {name} is {value!r}")


def check_evaluations(rows: Sequence[dict[str, Any]]) -> None:
    """Every row has a suite, and counts for each problem.

    Raises:
        ValueError: of another row; names its line and field.
    """
    for number, row in enumerate(rows, 1):
        _check(_Evaluation, number, row)


def check_stages(rows: Sequence[dict[str, Any]]) -> None:
    """The first row has every problem, the others have stages of them.

    Raises:
        ValueError: of another row; names its line and field.
    """
    for number, row in enumerate(rows, 1):
        _check(_FirstStages if number == 1 else _Stages, number, row)
        if number > 1 and (unknown := _named(row) - rows[0]["problems"].keys()):
            raise ValueError(f"line {number}: no problem {min(unknown)} in line 1")


def _named(row: dict[str, Any]) -> set[str]:
    """The problems of a row of stages."""
    return {*row["stages"], *row.get("counts", ()), *(asked[0] for asked in row.get("asked", ()))}


def _check(model: type[BaseModel], number: int, row: dict[str, Any]) -> None:
    try:
        model.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"line {number}: {where}: {first['msg']}") from None
