"""SampleLog: the samples of an evaluation and their verdicts on disk, one line each.

samples.jsonl    programs, with `task_id` and `solution` as EvalPlus reads them
verdicts.jsonl   verdicts, by suite, problem and number of the sample

A line is written as soon as its sample is generated and judged, so that an evaluation that is
killed continues at the sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from actors.errors import RunFailed
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.runs.folder import append_jsonl
from curriculum.files import write_atomic
from sandbox import Outcome

SAMPLES, VERDICTS = "samples.jsonl", "verdicts.jsonl"
Row = TypeVar("Row", GeneratedSample, SampleVerdict)


class SampleLog:
    """The samples and verdicts of one evaluation, read back when it continues."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier process wrote into `folder`.

        A line that its death cut off is removed. So are the verdicts of samples that the sandbox
        could not judge: they are judged again.

        Raises:
            RunFailed: a file holds something else.
        """
        self.samples_path = folder / SAMPLES
        self.verdicts_path = folder / VERDICTS
        self.samples: dict[SampleKey, GeneratedSample] = {}
        self.verdicts: dict[SampleKey, SampleVerdict] = {}
        for sample in _read(self.samples_path, sample_of_row, repair=True):
            self._take_sample(sample)
        for verdict in _read(self.verdicts_path, verdict_of_row, repair=True):
            if verdict.judged:
                self._take_verdict(verdict)
        if self.verdicts_path.exists():
            rows = (json.dumps(verdict_row(v)) + "\n" for v in self.verdicts.values())
            write_atomic(self.verdicts_path, rows)

    @property
    def unjudged(self) -> list[GeneratedSample]:
        """The samples without a verdict, in the order in which they were generated."""
        return [sample for key, sample in self.samples.items() if key not in self.verdicts]

    def add_sample(self, sample: GeneratedSample) -> None:
        """Write a generated sample.

        Raises:
            RunFailed: the sample was written before.
        """
        self._take_sample(sample)
        append_jsonl(self.samples_path, [sample_row(sample)])

    def add_verdict(self, verdict: SampleVerdict) -> None:
        """Write a verdict.

        Raises:
            RunFailed: the sample was never generated, or was judged before.
        """
        self._take_verdict(verdict)
        append_jsonl(self.verdicts_path, [verdict_row(verdict)])

    def _take_sample(self, sample: GeneratedSample) -> None:
        if sample.key in self.samples:
            raise RunFailed(f"{self.samples_path}: sample {_named(sample.key)} is there twice")
        self.samples[sample.key] = sample

    def _take_verdict(self, verdict: SampleVerdict) -> None:
        if verdict.key not in self.samples:
            raise RunFailed(
                f"{self.verdicts_path}: sample {_named(verdict.key)} is judged and is not in "
                f"{self.samples_path.name}; remove its line: --resume makes and judges the sample "
                f"again"
            )
        if verdict.key in self.verdicts:
            raise RunFailed(f"{self.verdicts_path}: sample {_named(verdict.key)} is judged twice")
        self.verdicts[verdict.key] = verdict


def read_sample_log(
    folder: Path,
) -> tuple[dict[SampleKey, GeneratedSample], dict[SampleKey, SampleVerdict]]:
    """What a folder holds, also while its evaluation is under way; nothing is changed.

    Raises:
        RunFailed: a file holds something else, a sample or verdict twice, or the verdict of a
            sample that is not there.
    """
    # Verdicts first: a sample is written before its verdict, so each verdict's sample is there.
    verdicts = _by_key(folder / VERDICTS, verdict_of_row)
    samples = _by_key(folder / SAMPLES, sample_of_row)
    if missing := next((key for key in verdicts if key not in samples), None):
        raise RunFailed(
            f"{folder / VERDICTS}: sample {_named(missing)} is judged and is not in {SAMPLES}"
        )
    return samples, verdicts


def _by_key(path: Path, restore: Callable[[dict[str, Any]], Row]) -> dict[SampleKey, Row]:
    found: dict[SampleKey, Row] = {}
    for row in _read(path, restore, repair=False):
        if row.key in found:
            raise RunFailed(f"{path}: sample {_named(row.key)} is there twice")
        found[row.key] = row
    return found


def sample_row(sample: GeneratedSample) -> dict[str, Any]:
    """A line of `samples.jsonl`."""
    row = asdict(sample)
    row.pop("key")
    first = {"task_id": row.pop("task_id"), "solution": row.pop("solution")}
    return {**first, **_key(sample.key), **row}


def sample_of_row(row: dict[str, Any]) -> GeneratedSample:
    """The sample of such a line."""
    key = _take_key(row)
    program_bytes = row.pop("program_bytes")
    cuts = tuple(tuple(cut) for cut in row.pop("cuts"))
    return GeneratedSample(
        key=key, program_bytes=tuple(program_bytes) if program_bytes else None, cuts=cuts, **row
    )


def verdict_row(verdict: SampleVerdict) -> dict[str, Any]:
    """A line of `verdicts.jsonl`."""
    row = asdict(verdict)
    row.pop("key")
    return {**_key(verdict.key), **row}


def verdict_of_row(row: dict[str, Any]) -> SampleVerdict:
    """The verdict of such a line."""
    key, outcome = _take_key(row), Outcome(row.pop("outcome"))
    sequences = {
        "executed_lines": tuple(row.pop("executed_lines")),
        "results": tuple(tuple(result) for result in row.pop("results")),
        "statements": tuple(tuple(statement) for statement in row.pop("statements")),
    }
    return SampleVerdict(key=key, outcome=outcome, **sequences, **row)


def _key(key: SampleKey) -> dict[str, Any]:
    return {"suite": key.suite, "problem": key.problem, "sample": key.number}


def _take_key(row: dict[str, Any]) -> SampleKey:
    return SampleKey(row.pop("suite"), row.pop("problem"), row.pop("sample"))


def _named(key: SampleKey) -> str:
    return f"{key.number} of {key.suite} {key.problem}"


def _read(path: Path, restore: Callable[[dict[str, Any]], Row], repair: bool) -> Iterator[Row]:
    """The lines of a file, without one that was cut off, which `repair` removes from the file."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if repair and whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    for number, line in enumerate(content[:whole].splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RunFailed(
                f"{path}: line {number} is not JSON: {error}. Remove it: --resume makes again what "
                f"it held"
            ) from None
        try:
            yield restore(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunFailed(
                f"{path}: line {number} is not one of this version ({error!r}); begin again with "
                f"--overwrite"
            ) from None
