"""Journal: the findings so far, on disk, so that an interrupted verification continues."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TextIO

from curriculum.datasets.problem_file import dump_problem
from curriculum.files import write_atomic
from curriculum.problem import Problem
from deploy.verify.finding import Cause, Finding


class Journal:
    """Findings as JSON lines, beside the file that will be written; a context.

    A journal of other settings is ignored, and so is the finding of a problem that has changed
    (findings are found by the problem's digest) or whose sandbox failed.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.findings: dict[str, dict[str, Any]] = {}
        """Digest of a problem to its row: digest, id, cause, detail, preamble."""
        self._read()

    def __enter__(self) -> Journal:
        # Rewritten whole, which drops a line that an interruption cut off.
        lines = [{"settings": self.settings}, *self.findings.values()]
        write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        self._file: TextIO = self.path.open("a", encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, digest: str, finding: Finding) -> None:
        """Write one finding at once."""
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
            except ValueError:  # the line that an interruption cut off
                break
        if rows and rows[0] == {"settings": self.settings}:
            infra_error = Cause.infra_error.value
            self.findings = {row["digest"]: row for row in rows[1:] if row["cause"] != infra_error}


def digest_of(problem: Problem) -> str:
    """A digest of a problem's whole content."""
    return hashlib.sha256(dump_problem(problem).encode()).hexdigest()
