"""StoredRun: what is kept of one finished run of a grid, in one small file.

Files of equal content are equal bytes: keys are in the schema's order, one per line, and figures
are rounded. `stepcoder ablate report` makes every table and chart from such files alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curriculum.files import write_atomic
from deploy.errors import ConfigError

OVERALL = "overall"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Machine(_Stored):
    """Where a run was made."""

    processor: str
    """The processor's model."""
    cores: int
    """Cores that the run could use."""


class StoredEvaluation(_Stored):
    """How the held-out problems came out after a step."""

    step: int
    """RL steps done."""
    samples: int
    """Samples trained on until then."""
    tokens: int
    """Tokens of these samples."""
    passed: dict[str, list[int]]
    """By tier: samples of each problem that passed, in the order of the problems."""
    judged: dict[str, list[int]] = Field(default_factory=dict)
    """By tier: samples of each problem that were judged, where that is not `eval_samples`."""
    truncated: float = 0.0
    """Share of the completions that were cut off at their limit."""
    completion_tokens: float = 0.0
    """Mean length of a completion [tokens]."""


class StoredRun(_Stored):
    """One finished run: what it was, what it cost, and how its held-out problems came out."""

    version: Literal[1] = 1
    """Of this schema."""
    grid: str
    """Name of the grid: of its profile."""
    arm: str
    """The arm's name."""
    seed: int
    """The run's seed."""
    rerun: int = 0
    """0, or the number of the repetition of this arm and seed."""
    switch: dict[str, Any]
    """What the arm sets, by dotted key."""
    settings: dict[str, Any]
    """Every key that decides figures and differs from its default, the switch included."""
    config_digest: str
    """Of the whole resolved configuration (`RunConfig.digest`)."""
    commit: str | None
    """Of the code; `-dirty` where files differed from it."""
    date: str
    """Day of the run's end, as YYYY-MM-DD."""
    machine: Machine
    isolation: str
    """Of the sandboxes: docker or process."""
    versions: dict[str, str]
    """Of packages."""
    heldout_digest: str
    """Of the held-out problems and their order."""
    eval_samples: int
    """Completions of each held-out problem in an evaluation."""
    steps: int
    """RL steps."""
    samples: dict[str, int]
    """Training samples by fate: asked, trained, dropped."""
    tokens: int
    """Generated tokens of the samples trained on."""
    optimizer_steps: int
    """Optimizer steps of the whole run."""
    seconds: dict[str, float]
    """Wall time by stage, and `total` [seconds]."""
    evaluations: list[StoredEvaluation]
    """In the order of their steps; the first is the warm start's."""
    series: dict[str, list[float | None]]
    """Figures of each RL step by their names in `metrics.jsonl`, from step 1 on."""

    @model_validator(mode="after")
    def _is_whole(self) -> StoredRun:
        if not self.evaluations:
            raise ValueError("evaluations: none")
        if wrong := [name for name, values in self.series.items() if len(values) != self.steps]:
            raise ValueError(f"series.{wrong[0]}: not one figure for each of {self.steps} steps")
        first = {tier: len(counts) for tier, counts in self.evaluations[0].passed.items()}
        for evaluation in self.evaluations:
            if {tier: len(counts) for tier, counts in evaluation.passed.items()} != first:
                raise ValueError(f"evaluations: step {evaluation.step} has other problems")
        return self

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return run_name(self.arm, self.seed, self.rerun)

    @property
    def tiers(self) -> dict[str, int]:
        """Held-out problems by tier."""
        return {tier: len(counts) for tier, counts in self.evaluations[0].passed.items()}

    def counts(self, evaluation: StoredEvaluation, tier: str) -> tuple[list[int], list[int]]:
        """Passed and judged samples of each problem of a tier, or of all (`overall`)."""
        tiers = list(self.tiers) if tier == OVERALL else [tier]
        passed = [count for name in tiers for count in evaluation.passed[name]]
        judged = [
            count
            for name in tiers
            for count in evaluation.judged.get(
                name, [self.eval_samples] * len(evaluation.passed[name])
            )
        ]
        return passed, judged

    def rate(self, evaluation: StoredEvaluation, tier: str) -> float:
        """pass@1: the share of the judged samples that passed."""
        passed, judged = self.counts(evaluation, tier)
        return sum(passed) / sum(judged)

    def final(self, tier: str) -> float:
        """pass@1 after the last step."""
        return self.rate(self.evaluations[-1], tier)

    def problem_rates(self, tier: str) -> list[float | None]:
        """pass@1 of each problem after the last step; None where none of its samples was judged."""
        passed, judged = self.counts(self.evaluations[-1], tier)
        return [p / n if n else None for p, n in zip(passed, judged, strict=True)]

    def curve(self, tier: str) -> list[tuple[float, float]]:
        """Samples trained on and pass@1 of every evaluation."""
        return [(float(e.samples), self.rate(e, tier)) for e in self.evaluations]


def run_name(arm: str, seed: int, rerun: int) -> str:
    """`full-1`, or `full-1-rerun2`."""
    return f"{arm}-{seed}" + (f"-rerun{rerun}" if rerun else "")


def write_stored(run: StoredRun, folder: Path) -> Path:
    """Write `<folder>/<arm>-<seed>.json`, whole or not at all; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.name}.json"
    fields = [
        f" {json.dumps(key)}: {_value(key, value)}"
        for key, value in run.model_dump(mode="json").items()
    ]
    write_atomic(path, "{\n" + ",\n".join(fields) + "\n}\n")
    return path


def _value(key: str, value: Any) -> str:
    """One line, but a line for each evaluation and each series."""

    def line(part: Any) -> str:
        return json.dumps(part, separators=(",", ":"), ensure_ascii=False)

    if key == "evaluations":
        return "[\n" + ",\n".join(f"  {line(part)}" for part in value) + "\n ]"
    if key == "series":
        rows = (f"  {json.dumps(name)}:{line(part)}" for name, part in value.items())
        return "{\n" + ",\n".join(rows) + "\n }"
    return line(value)


def read_stored(path: Path) -> StoredRun:
    """Read one file.

    Raises:
        ConfigError: it is not the result of a run; names it and the field.
    """
    try:
        return StoredRun.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        reason = f"{place}: {problem['msg']}" if place else problem["msg"]
        raise ConfigError(f"{path}: not a stored result: {reason}") from None


def read_folders(folders: Sequence[Path]) -> list[StoredRun]:
    """Every result that is stored in some folders, in the order of their names.

    Raises:
        ConfigError: a folder does not exist, or a file is not a result.
    """
    return [read_stored(path) for path in _files(folders)]


def _files(folders: Sequence[Path]) -> Iterable[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"{folder}: no such folder; give the one that holds the stored results, such as "
                "runs/ablation/results"
            )
        yield from sorted(folder.glob("*.json"))
