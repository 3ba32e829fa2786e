"""RunHistory: what a run has recorded so far, read from its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from actors.runs.folder import RunFolder, read_jsonl
from deploy.errors import ConfigError
from deploy.evaluation.folder import is_evaluation
from deploy.report.runs.rows import check_evaluations, check_metrics, check_stages
from deploy.stored.listing import runs_in
from learner.config import flat_settings

SEEDS = frozenset({"seed", "learner.seed", "sft.seed"})
"""Keys in which the runs of one group may differ."""
NAMES = frozenset({"name", "runs_dir", "staging_dir"})
"""Keys that say where a run is, not what it does."""


@dataclass(frozen=True)
class RunHistory:
    """The figures of one run, finished or not."""

    folder: Path
    config: dict[str, Any]
    """The resolved configuration by dotted key."""
    steps: list[dict[str, Any]]
    """The rows of `metrics.jsonl` that are of steps."""
    evaluations: list[dict[str, Any]]
    """The rows of `metrics.jsonl` that are of evaluations."""
    problems: list[dict[str, Any]]
    """`evaluations.jsonl`: how each problem came out."""
    curriculum: list[dict[str, Any]]
    """`curriculum.jsonl`."""
    result: dict[str, Any] | None
    """`result.json`; None while the run has not finished."""

    @classmethod
    def read(cls, root: Path) -> RunHistory:
        """Read a run's folder, which may be of a run that is under way.

        Raises:
            ConfigError: there is no run, or a file holds something else; names it.
        """
        files = RunFolder(root)
        if is_evaluation(root):
            raise ConfigError(
                f"{root}: the folder of an evaluation, not of a run; `stepcoder inspect` shows it, "
                f"`stepcoder eval compare` compares two"
            )
        if not files.config.is_file():
            what = runs_in(root) or "; give the folder of a run"
            raise ConfigError(f"{root}: no run there (no config.yaml){what}")
        config = _read(files.config, _flat_yaml)
        rows = _read(files.metrics, _rows(check_metrics))
        return cls(
            folder=root,
            config=config,
            steps=[row for row in rows if "suite" not in row],
            evaluations=[row for row in rows if "suite" in row],
            problems=_read(files.evaluations, _rows(check_evaluations)),
            curriculum=_read(files.curriculum, _rows(check_stages)),
            result=_read(files.result, _result) if files.result.is_file() else None,
        )

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.config.get("name", self.folder.name))

    @property
    def planned_steps(self) -> int:
        """`loop.steps`."""
        return int(self.config.get("loop.steps", 0))

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.steps[-1]["step"]) if self.steps else 0

    @cached_property
    def columns(self) -> set[str]:
        """The names of all figures of steps."""
        return {name for row in self.steps for name in row}

    def column(self, name: str) -> list[tuple[int, float]]:
        """Steps and values of one figure, where it is recorded."""
        return [(row["step"], row[name]) for row in self.steps if name in row]

    def evaluated(self, suite: str, figure: str) -> list[tuple[int, float]]:
        """Steps and values of one figure of a suite's evaluations."""
        name = f"eval/{suite}/{figure}"
        return [(row["step"], row[name]) for row in self.evaluations if name in row]

    @property
    def suites(self) -> list[str]:
        """The suites that were evaluated, in order."""
        return list(dict.fromkeys(row["suite"] for row in self.evaluations))

    @property
    def seconds(self) -> float:
        """Wall time of all steps and evaluations so far [seconds]."""
        if self.result:
            return float(self.result["seconds"]["total"])
        steps = sum(row.get("seconds/step", 0.0) for row in self.steps)
        return steps + sum(row.get(f"eval/{row['suite']}/seconds", 0) for row in self.evaluations)

    @cached_property
    def asks_prefixes(self) -> bool:
        """Whether any problem has had a stage before the full task."""
        first = self.curriculum[0]["problems"] if self.curriculum else {}
        later = (row.get("counts", {}).values() for row in self.curriculum[1:])
        return any(count for _, count, _ in first.values()) or any(map(any, later))

    def digest(self, without: frozenset[str] = NAMES | SEEDS) -> str:
        """What tells its configuration from others, without some keys."""
        return json.dumps({k: v for k, v in self.config.items() if k not in without}, default=str)


def _flat_yaml(path: Path) -> dict[str, Any]:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise ValueError("not a configuration")
    config = flat_settings(tree)
    if type(config.get("loop.steps", 0)) is not int:
        raise ValueError(f"loop.steps is {config['loop.steps']!r}")
    return config


def _result(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text(encoding="utf-8"))
    try:
        float(result["seconds"]["total"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("no number seconds.total") from None
    for name, kind in (("git_commit", str), ("isolation", str), ("versions", dict)):
        if not isinstance(result.get(name), kind | None):
            raise ValueError(f"{name} is {result[name]!r}")
    return result


def _rows(check: Callable[[list[dict[str, Any]]], None]) -> Callable[[Path], list[dict[str, Any]]]:
    def read(path: Path) -> list[dict[str, Any]]:
        rows = read_jsonl(path)
        check(rows)
        return rows

    return read


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not written by a run: {' '.join(str(error).split())}") from None
