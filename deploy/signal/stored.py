"""StoredSignal: what `stepcoder signal` measured at one checkpoint, in one small file.

Equal measurements are equal bytes; `stepcoder signal report` makes page and picture of such files
alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from curriculum.files import write_atomic
from deploy.ablation.stored import Machine
from deploy.errors import ConfigError
from deploy.signal.positions import Positions
from learner.algorithm.gradient_signal import Estimate, Signal

_DIGITS = 5


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StoredEstimate(_Stored):
    """A figure with its 95 % interval; null where it is not a number."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, estimate: Estimate | None) -> StoredEstimate | None:
        """The same, rounded."""
        if estimate is None:
            return None
        return cls(**{name: _rounded(value) for name, value in vars(estimate).items()})


class StoredMask(_Stored):
    """What one mask makes of the gradient."""

    ratio: StoredEstimate
    difference: StoredEstimate | None
    """From the baseline's ratio."""
    agreement: StoredEstimate | None
    """Cosine with the baseline's mean gradient."""

    @classmethod
    def of(cls, signal: Signal) -> StoredMask:
        """The same, rounded."""
        ratio = StoredEstimate.of(signal.ratio)
        assert ratio is not None
        return cls(
            ratio=ratio,
            difference=StoredEstimate.of(signal.difference),
            agreement=StoredEstimate.of(signal.agreement),
        )


class StoredPart(_Stored):
    """Some of the groups, or all of them."""

    factor: str
    """The property that they are chosen by; `all`."""
    level: str
    """Which of its values."""
    mean: float | None
    """Of the property over these groups."""
    groups: int
    masks: dict[str, StoredMask]


class StoredSignal(_Stored):
    """The measurement of one policy."""

    version: Literal[1] = 1
    """Of this schema."""
    name: str
    """What the measurement is called."""
    run: str
    """Name of the run whose rollouts are used."""
    checkpoint: str
    """The checkpoint of the policy."""
    steps: int
    """Steps behind the checkpoint whose rollouts are used."""
    baseline: str
    """The mask that the others are compared with."""
    curriculum: str
    """`curriculum.mode` of the run."""
    advantage: str
    """`learner.advantage` of the run."""
    lr: float
    """`learner.policy.lr` of the run; with 0 all rollouts are of one policy."""
    samples: int
    """Samples of all groups."""
    shares: dict[str, float]
    """Of all groups: tokens not executed, programs that raised, programs that passed."""
    parts: list[StoredPart]
    """All groups first."""
    positions: Positions
    date: str
    """Day of the measurement, as YYYY-MM-DD."""
    machine: Machine

    def write(self, path: Path) -> None:
        """Write the file."""
        write_atomic(path, json.dumps(self.model_dump(mode="json"), indent=1) + "\n")


def read_signals(paths: Iterable[Path]) -> list[StoredSignal]:
    """The measurements of files, or of the `.json` files of folders, by name.

    Raises:
        ConfigError: a file is none, or there is none.
    """
    files = [
        file
        for path in paths
        for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]
    found: list[StoredSignal] = []
    for file in files:
        try:
            found.append(StoredSignal.model_validate_json(file.read_text()))
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from None
        except (ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{file}: not a measurement of `stepcoder signal --json`: {_first(error)}"
            ) from None
    if not found:
        raise ConfigError("no measurements: `stepcoder signal RUN --json FILE` writes one")
    return sorted(found, key=lambda signal: signal.name)


def _first(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")


def _rounded(value: float) -> float | None:
    return round(value, _DIGITS) if math.isfinite(value) else None
