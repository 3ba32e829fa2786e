"""`stepcoder data verify`: a journal that survives interruption, then two files written whole."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from curriculum.datasets.problem_file import dump_problem, write_problems
from curriculum.datasets.registry import Skipped
from curriculum.files import write_atomic
from curriculum.problem import Problem
from deploy.config import ConfigError
from deploy.verify.report import KEPT, Cause, Finding, verify

EXAMPLES_KEPT = 3
PROGRESS_SECONDS = 2.0


class Journal:
    """Findings so far, one JSON line each, beside the file that will be written.

    A journal made under other settings, or of another version of a problem, is not believed.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path = path
        self._settings = settings
        self.findings: dict[str, dict[str, Any]] = {}
        """Digest of a problem to what came of it."""
        self._read()

    def __enter__(self) -> Journal:
        lines = [{"settings": self._settings}, *self.findings.values()]
        write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        self._file: TextIO = self.path.open("a", encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, digest: str, finding: Finding) -> None:
        """Note one finding at once."""
        row = {
            "digest": digest,
            "id": finding.problem.id,
            "cause": finding.cause.value,
            "detail": finding.detail,
            "preamble": finding.problem.preamble,
        }
        self.findings[digest] = row
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def _read(self) -> None:
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return
        rows = []
        for line in lines:
            try:
                rows.append(json.loads(line))
            except ValueError:  # the line that the interruption cut
                break
        if rows and rows[0] == {"settings": self._settings}:
            infra = Cause.infra_error.value
            self.findings = {row["digest"]: row for row in rows[1:] if row["cause"] != infra}


def digest_of(problem: Problem) -> str:
    """What names a problem's whole content."""
    return hashlib.sha256(dump_problem(problem).encode()).hexdigest()


def verify_problems(
    problems: Callable[[], Iterable[Problem]],
    output: Path,
    report: Path | None,
    settings: dict[str, Any],
    run: Callable[[Iterable[Problem]], Generator[Finding, None, None]],
    skipped: Skipped,
) -> dict[str, Any]:
    """Verify what was not verified before the last interruption; write what is kept, and a report.

    Args:
        problems: gives the problems anew at each call.
        output: our JSONL of the kept problems, in their order; the journal lies beside it.
        report: JSON of the report, if wanted.
        settings: what findings depend on.
        run: examines problems.
        skipped: what reading them left out.

    Returns:
        The report: counts and examples by cause.
    """
    with Journal(output.with_name(f".{output.name}.journal"), settings) as journal:
        known = journal.findings
        digests = {p.id: digest_of(p) for p in problems()}
        before = {name for name, digest in digests.items() if digest in known}
        todo = (problem for problem in problems() if problem.id not in before)
        progress = _Progress(len(digests), len(before))
        with closing(run(todo)) as findings:
            for finding in findings:
                journal.add(digests[finding.problem.id], finding)
                progress.one_more()
    rows = {name: journal.findings[digest] for name, digest in digests.items()}
    result = _report(list(rows.values()), settings, skipped)
    kept = (_kept(p, rows[p.id]) for p in problems() if rows[p.id]["cause"] in KEPT)
    write_problems(output, kept)
    if report is not None:
        write_atomic(report, json.dumps(result, indent=1) + "\n")
    if not result["causes"].get(Cause.infra_error.value):
        journal.path.unlink()
    return result


def _kept(problem: Problem, row: dict[str, Any]) -> Problem:
    return problem.model_copy(update={"preamble": row["preamble"]})


def _report(
    rows: list[dict[str, Any]], settings: dict[str, Any], skipped: Skipped
) -> dict[str, Any]:
    causes: dict[str, int] = {}
    examples: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        causes[row["cause"]] = causes.get(row["cause"], 0) + 1
        shown = examples.setdefault(row["cause"], [])
        if len(shown) < EXAMPLES_KEPT and row["cause"] != Cause.passed:
            shown.append({"id": row["id"], "detail": row["detail"]})
    ordered = [cause.value for cause in Cause if cause.value in causes]
    return {
        "settings": settings,
        "problems": len(rows),
        "kept": sum(row["cause"] in KEPT for row in rows),
        "causes": {cause: causes[cause] for cause in ordered},
        "examples": {cause: examples[cause] for cause in ordered if examples[cause]},
        "bad_records": {"fields": skipped.counts, "examples": skipped.examples},
    }


class _Progress:
    """A line on stderr every few seconds: how many, and how long still."""

    def __init__(self, total: int, before: int):
        self.total, self.before, self.done = total, before, before
        self._began = self._told = time.monotonic()
        if before:
            print(f"{before} of {total} were verified before", file=sys.stderr, flush=True)

    def one_more(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS or self.done == self.total:
            self._told = now
            left = (now - self._began) / (self.done - self.before) * (self.total - self.done)
            line = f"{self.done} of {self.total} verified, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)


def verify_file(options: Any) -> int:
    """Run the command; returns its exit status: 1 where a sandbox failed on some problem."""
    from deploy.commands.data import problems_of, tell_skipped
    from deploy.report.data_tables import print_report
    from sandbox import Limits, Sandbox, SandboxConfig

    limits = Limits(
        wall_seconds=options.wall_seconds, cpu_seconds=max(1, int(options.wall_seconds))
    )
    config = SandboxConfig(backend=options.backend, limits=limits, coverage=False)
    slots = options.slots or os.cpu_count() or 1
    settings = {"runs": options.runs, "limits": limits.model_dump()}
    first = Skipped()
    if not sum(1 for _ in problems_of(options, first)):
        raise ConfigError(f"{options.source}: no problem in it")
    tell_skipped(first)

    def run(problems: Iterable[Problem]) -> Generator[Finding, None, None]:
        name = f"verify-{os.getpid()}"
        return verify(problems, lambda n: Sandbox(config, n, name), slots, options.runs)

    result = verify_problems(
        lambda: problems_of(options, Skipped()),
        options.output,
        options.report,
        settings,
        run,
        first,
    )
    print_report(result, options.output)
    return 1 if result["causes"].get(Cause.infra_error.value) else 0
