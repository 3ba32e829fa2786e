"""The result of an evaluation: the figures of every suite, and what they were made with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from actors.evaluation.figures import count_problems, suite_figures
from actors.evaluation.records import GeneratedSample, SampleVerdict
from actors.evaluation.sample_log import SampleLog
from curriculum.files import write_atomic
from deploy.evaluation.folder import EvaluationFolder
from deploy.evaluation.provenance import Provenance
from deploy.evaluation.suites import Suite


def write_result(
    folder: EvaluationFolder,
    log: SampleLog,
    suites: Sequence[Suite],
    ks: Sequence[int],
    provenance: Provenance,
) -> dict[str, Any]:
    """Write `problems.jsonl` and `result.json`; returns what the latter holds."""
    counts, figures = {}, {}
    for suite in suites:
        samples: list[GeneratedSample] = []
        verdicts: list[SampleVerdict] = []
        by_problem: dict[str, list[SampleVerdict]] = {p.id: [] for p in suite.problems}
        # Not in the order of the log, which depends on what ended first.
        for key in sorted(key for key in log.verdicts if key.suite == suite.name):
            samples.append(log.samples[key])
            verdicts.append(log.verdicts[key])
            by_problem[key.problem].append(log.verdicts[key])
        rows = count_problems(suite.problems, suite.digests, by_problem)
        counts[suite.name] = rows
        figures[suite.name] = {"data": suite.data, **suite_figures(rows, samples, verdicts, ks)}
    isolation = Counter(verdict.isolation for verdict in log.verdicts.values() if verdict.judged)
    result = {**provenance.as_result(), "isolation": dict(isolation), "suites": figures}
    folder.write_problems(counts)
    write_atomic(folder.result, json.dumps(result, indent=2) + "\n")
    return result


def infrastructure_errors(result: dict[str, Any]) -> int:
    """Number of samples that the sandbox could not judge."""
    suites = result["suites"].values()
    return sum(round(suite["infra_errors"] * suite["samples"]) for suite in suites)
