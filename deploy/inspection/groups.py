"""Groups of samples as the page shows them, read from the folder of a run or of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.errors import ConfigError


@dataclass(frozen=True)
class Group:
    """One prompt and its samples."""

    problem: Mapping[str, Any]
    """As `actors.runs.records.problem_record` made it, with `prefix`."""
    samples: tuple[Mapping[str, Any], ...]
    """Each as `deploy.inspection.samples` makes it."""
    step: int | None = None
    stage: int = -1
    stages: int = 0
    prompt: str | None = None
    """Text of the prompt; None where no model was asked."""
    prompt_tokens: int = 0
    suite: str = ""


@dataclass(frozen=True)
class Source:
    """What is inspected."""

    kind: str
    """`run` or `evaluation`."""
    name: str
    facts: dict[str, str]
    """What the page says of it, in order."""
    notice: str = ""
    """That it is not the whole: not finished yet, or some groups recorded only."""
    seconds: dict[int, dict[str, float]] = field(default_factory=dict)
    """Wall time of each step by stage [seconds]."""
    figures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of pass@k of a finished evaluation: `title`, `kind`, `name`, `estimate`, `low`, `high`
    and `problems`."""


class Fields:
    """A record of a file; a field that it lacks is refused by its name."""

    def __init__(self, record: Any, where: str, remedy: str) -> None:
        self._where, self._remedy = where, remedy
        if not isinstance(record, dict):
            raise ConfigError(f"{where}: not an object; {remedy}")
        self._record = record

    def __getitem__(self, name: str) -> Any:
        if name not in self._record:
            raise ConfigError(
                f"{self._where}: no field `{name}`: written by an older version; {self._remedy}"
            )
        return self._record[name]

    def all(self, *names: str) -> dict[str, Any]:
        """Several fields."""
        return {name: self[name] for name in names}
