"""Verifying a data set: a journal that survives interruption, then two files written whole."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.registry import Skipped
from curriculum.files import write_atomic
from curriculum.problem import Problem
from deploy.progress import StageProgress
from deploy.verify.finding import KEPT
from deploy.verify.journal import Journal, digest_of
from deploy.verify.report import report_on, sandbox_failed
from deploy.verify.workers import examine_all
from sandbox import Sandbox, SandboxConfig

logger = logging.getLogger(__name__)


def verify_data_set(
    problems: Callable[[], Iterable[Problem]],
    output: Path,
    report_path: Path | None,
    skipped: Skipped,
    *,
    config: SandboxConfig,
    slots: int,
    runs: int,
) -> dict[str, Any]:
    """Examine what the last interruption left, then write the kept problems and the report.

    Args:
        problems: reads the problems again at each call.
        output: our JSONL of the kept problems, in their order; the journal lies beside it.
        report_path: JSON of the report, if it is wanted.
        skipped: records that could not be read, for the report.
        config: of the sandboxes.
        slots: sandboxes at a time.
        runs: of each solution.

    Returns:
        The report (`deploy.verify.report`).

    Where no problem is kept, `output` is not written.

    Raises:
        SandboxError: no sandbox can be started here.
    """
    settings = {
        "runs": runs,
        "limits": config.limits.model_dump(),
        "packages": list(config.requirements),
    }
    with Journal(output.with_name(f".{output.name}.journal"), settings) as journal:
        digests = {problem.id: digest_of(problem) for problem in problems()}
        verified = {name for name, digest in digests.items() if digest in journal.findings}
        if verified:
            logger.info("%d of %d were verified before", len(verified), len(digests))
        todo = (problem for problem in problems() if problem.id not in verified)
        run_name = f"verify-{os.getpid()}"
        findings = examine_all(todo, lambda slot: Sandbox(config, slot, run_name), slots, runs)
        with closing(findings), StageProgress() as progress:
            progress.begin("verifying", len(digests), len(verified))
            for finding in findings:
                journal.add(digests[finding.problem.id], finding)
                progress.step()
    rows = {name: journal.findings[digest] for name, digest in digests.items()}
    report = report_on(list(rows.values()), settings, skipped)
    kept = (
        problem.model_copy(update={"preamble": rows[problem.id]["preamble"]})
        for problem in problems()
        if rows[problem.id]["cause"] in KEPT
    )
    if report["kept"]:
        write_problems(output, kept)
    if report_path is not None:
        write_atomic(report_path, json.dumps(report, indent=1) + "\n")
    if not sandbox_failed(report):
        journal.path.unlink()
    return report
