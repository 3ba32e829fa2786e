"""EvaluationFolder: the files of one evaluation.

<out>/settings.json     what decides the samples and verdicts
      config.yaml       the resolved configuration
      samples.jsonl     programs, as EvalPlus reads them
      verdicts.jsonl    verdicts
      tasks.jsonl       question, prompt, tests and canonical solution of each problem
      problems.jsonl    counts of each problem
      processes.jsonl   versions and number format of each process that took part
      result.json       the figures
      log.txt           every log record, of the driver and of its actors
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from actors.evaluation.figures import ProblemCounts
from actors.runs.records import problem_record
from curriculum.files import write_atomic
from deploy.errors import ConfigError
from deploy.evaluation.suites import Suite
from deploy.sole_writer import sole_writer

_WRITE_AGAIN = "`stepcoder eval --resume` writes it again from the samples"


class EvaluationFolder:
    """The paths below the folder of an evaluation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "settings.json"
        self.config = root / "config.yaml"
        self.samples = root / "samples.jsonl"
        self.tasks = root / "tasks.jsonl"
        self.problems = root / "problems.jsonl"
        self.processes = root / "processes.jsonl"
        self.result = root / "result.json"
        self.log = root / "log.txt"

    def sole_writer(self) -> AbstractContextManager[None]:
        """Be the only evaluation that writes the folder.

        Raises:
            ConfigError: another one is under way.
        """
        return sole_writer(
            self.root,
            f"another `stepcoder eval` is writing {self.root}: wait for its end or stop it, or "
            f"choose another --out",
        )

    def begin(self, overwrite: bool) -> None:
        """Clear the folder for a new evaluation.

        Raises:
            ConfigError: it holds another one, or something else.
        """
        if self.settings.exists() and not overwrite:
            raise ConfigError(
                f"{self.root} holds another evaluation: choose another --out, continue it with "
                f"--resume, or replace it with --overwrite"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        left = [*self.root.iterdir()]
        if left and not self.settings.exists():
            raise ConfigError(f"{self.root} holds other files; choose another --out")
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def write_tasks(
        self, suites: Sequence[Suite], prompts: Mapping[tuple[str, str], tuple[str, str]]
    ) -> None:
        """Write what was asked, for `stepcoder inspect`.

        Args:
            suites: all of them.
            prompts: by suite and problem, the text and the code at its end that the completion
                continues, which a chat may not have; empty where programs were given.
        """
        rows = (
            {
                "suite": suite.name,
                **dict(
                    zip(
                        ("prompt", "prefix"),
                        prompts.get((suite.name, problem.id), (None, "")),
                        strict=True,
                    )
                ),
                **problem_record(problem),
            }
            for suite in suites
            for problem in suite.problems
        )
        write_atomic(self.tasks, (json.dumps(row) + "\n" for row in rows))

    def write_problems(self, counts: Mapping[str, Sequence[ProblemCounts]]) -> None:
        """Write the counts of every problem, by suite."""
        lines = [
            json.dumps({"suite": suite, **asdict(row)}) + "\n"
            for suite, rows in counts.items()
            for row in rows
        ]
        write_atomic(self.problems, lines)

    def read_problems(self) -> dict[str, list[ProblemCounts]]:
        """What `write_problems` wrote.

        Raises:
            ConfigError: there is no finished evaluation, or the file holds something else.
        """
        counts: dict[str, list[ProblemCounts]] = {}
        try:
            for line in self.problems.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                counts.setdefault(row.pop("suite"), []).append(ProblemCounts(**row))
        except FileNotFoundError:
            raise self._unfinished(self.problems) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{self.problems}: not written by this version ({error!r}); evaluate again with "
                f"--overwrite"
            ) from None
        return counts

    def read_result(self) -> dict[str, Any]:
        """What `result.json` holds.

        Raises:
            ConfigError: there is none, or it is not the result of an evaluation.
        """
        try:
            result = json.loads(self.result.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise self._unfinished(self.result) from None
        except ValueError as error:
            raise ConfigError(f"{self.result}: not JSON: {error}; {_WRITE_AGAIN}") from None
        suites = result.get("suites") if isinstance(result, dict) else None
        if not isinstance(suites, dict) or not all(
            isinstance(figures, dict) and isinstance(figures.get("pass_at_k"), dict)
            for figures in suites.values()
        ):
            raise ConfigError(f"{self.result}: not the result of an evaluation; {_WRITE_AGAIN}")
        return result

    def _unfinished(self, missing: Path) -> ConfigError:
        if not self.root.is_dir():
            return ConfigError(f"{self.root}: no such folder")
        if not self.samples.exists():
            return ConfigError(
                f"{self.root}: not the folder of an evaluation (no {self.samples.name}); "
                f"`stepcoder compare` compares two training runs"
            )
        return ConfigError(
            f"{self.root}: no finished evaluation there (no {missing.name}); finish it with "
            f"`stepcoder eval --resume`"
        )


def is_evaluation(root: Path) -> bool:
    """Whether a folder is that of an evaluation."""
    return EvaluationFolder(root).settings.exists()
