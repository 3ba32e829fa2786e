"""The samples of an evaluation, as groups."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actors.evaluation.records import GeneratedSample, SampleVerdict
from actors.evaluation.sample_log import read_sample_log
from deploy.errors import ConfigError
from deploy.evaluation.folder import EvaluationFolder
from deploy.inspection.groups import Fields, Group, Source
from deploy.inspection.token_states import Completion
from deploy.report.pass_rows import pass_rows
from sandbox import Outcome, Statement
from sandbox.judging.coverage import line_marks

_REMEDY = "evaluate again with this version (--overwrite)"
_PROBLEM = ("problem", "tier", "published", "question", "solution", "setup", "tests", "prefix")
NOT_JUDGED = "not_judged"
"""In place of an outcome, for a sample without a verdict."""


def read_evaluation(root: Path) -> tuple[Source, Iterator[Group]]:
    """What an evaluation wrote, finished or not.

    Raises:
        ConfigError: it has no sample yet, or a file is not this version's.
        RunFailed: a file is damaged.
    """
    folder = EvaluationFolder(root)
    samples, verdicts = read_sample_log(root)
    if not samples:
        raise ConfigError(f"{root}: no sample there yet")
    tasks = dict(_tasks(folder.tasks))
    by_problem: defaultdict[tuple[str, str], list[GeneratedSample]] = defaultdict(list)
    for key in sorted(samples):
        by_problem[key.suite, key.problem].append(samples[key])
    if unknown := next((name for name in by_problem if name not in tasks), None):
        raise ConfigError(
            f"{folder.tasks}: no line of {' '.join(unknown)}, of which {folder.samples.name} has "
            f"samples; `stepcoder eval --resume` writes it again"
        )

    def groups() -> Iterator[Group]:
        for name, task in tasks.items():
            if made := by_problem.get(name):
                shown = tuple(_sample(sample, verdicts.get(sample.key)) for sample in made)
                tokens, prompt = made[0].prompt_tokens, task.pop("prompt")
                yield Group(task, shown, prompt=prompt, prompt_tokens=tokens, suite=name[0])

    settings = _settings(folder)
    made = Source(
        "evaluation",
        root.absolute().name,
        _facts(settings),
        _notice(folder, settings, len(tasks), len(samples), len(verdicts)),
        figures=_figures(folder),
    )
    return made, groups()


def _notice(
    folder: EvaluationFolder, settings: dict[str, Any], tasks: int, samples: int, judged: int
) -> str:
    if folder.result.exists():
        if judged == samples:
            return ""
        return (
            f"Verdicts are missing: {judged:,} of {samples:,} samples have one, and the result is "
            f"of all; `stepcoder eval --resume` judges the others again."
        )
    sampling = settings["sampling"]
    planned = tasks * sampling["samples"] if sampling else samples
    return f"Not finished: {samples:,} of {planned:,} samples written, {judged:,} judged."


def _figures(folder: EvaluationFolder) -> list[dict[str, Any]]:
    """pass@k of a finished evaluation, by suite and k; none while it is under way."""
    if not folder.result.exists():
        return []
    suites = folder.read_result()["suites"]
    try:
        return [
            {"title": f"{suite}, pass@{row.k}", "kind": row.kind, "name": row.name, **row.interval}
            for suite, figures in suites.items()
            for row in pass_rows(figures)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder.result}: not of this version ({error!r}); {_REMEDY}") from None


def _tasks(path: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    if not path.exists():
        raise ConfigError(
            f"{path.parent}: no {path.name}: written by an older version, or with other files "
            f"missing; {_REMEDY}"
        )
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}: line {number}"
            try:
                record = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{where}: not JSON: {error}") from None
            fields = Fields(record, where, _REMEDY)
            yield (fields["suite"], fields["problem"]), fields.all(*_PROBLEM, "prompt")


def _sample(sample: GeneratedSample, verdict: SampleVerdict | None) -> dict[str, Any]:
    judged = verdict or SampleVerdict(sample.key, Outcome.infra_error)
    statements = tuple((start, end, bool(ran)) for start, end, ran in judged.statements)
    tokens, states = [], ""
    if sample.completion is not None and sample.program_bytes is not None:
        completion = Completion(
            sample.completion,
            sample.solution,
            sample.program_bytes,
            sample.cuts,
            statements,
            judged.coverage_tampered,
        )
        tokens, states = completion.segments()
    marks = line_marks(sample.solution, [Statement(*statement) for statement in statements])
    return {
        "outcome": judged.outcome.value if verdict else NOT_JUDGED,
        "error": judged.error,
        "error_line": judged.error_line,
        "results": judged.results,
        "wall_seconds": judged.wall_seconds,
        "cpu_seconds": judged.cpu_seconds,
        "coverage_tampered": judged.coverage_tampered,
        "trusted_tests": judged.trusted_tests,
        "isolation": judged.isolation,
        "reward": None,
        "weight_version": None,
        "finish_reason": sample.finish_reason,
        "generation_seconds": sample.generation_seconds,
        "number": sample.key.number,
        "program": sample.solution,
        "marks": marks,
        "tokens": tokens,
        "states": states,
        "cuts": sample.cuts,
        "token_count": sample.completion_tokens if sample.finish_reason else None,
        "ids": None,
        "values": {},
        "advantage": None,
        "left_out": None,
        "parts": None,
    }


def _settings(folder: EvaluationFolder) -> dict[str, Any]:
    """Model, suites and sampling of the settings."""
    try:
        settings = json.loads(folder.settings.read_text(encoding="utf-8"))
        sampling = settings["sampling"]
        if sampling is not None:
            sampling = {name: sampling[name] for name in ("samples", "temperature")}
        return {"model": settings["model"], "suites": [*settings["suites"]], "sampling": sampling}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{folder.settings}: not the settings of an evaluation: {error!r}"
        ) from None


def _facts(settings: dict[str, Any]) -> dict[str, str]:
    facts = {"model": settings["model"], "suites": ", ".join(settings["suites"])}
    return {name: str(value) for name, value in (facts | (settings["sampling"] or {})).items()}
