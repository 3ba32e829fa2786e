"""`stepcoder data verify`: what is kept and why, and that an interrupted one continues."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path

import pytest

from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.problem import Problem, Test
from deploy.cli import main
from deploy.verify.finding import Cause, Finding, examine
from deploy.verify.journal import Journal
from deploy.verify.workers import examine_all
from sandbox import Job, Outcome, TestOutcome, TestResult, Verdict

ROOT = Path(__file__).resolve().parents[3]
DOUBLE = Test(input=[2], output=4)


def problem(name: str, solution: str = "def f(x):\n    return 2 * x\n") -> Problem:
    return Problem(
        id=name,
        question=name,
        solution=solution,
        fn_name="f",
        tests=(DOUBLE,),
        difficulty="interview",
        source="test",
    )


class Scripted:
    """A sandbox that gives a list of outcomes, in turn."""

    def __init__(self, *outcomes: tuple[Outcome, str | None]):
        self.outcomes = list(outcomes)

    def run(self, job) -> Verdict:  # type: ignore[no-untyped-def]
        outcome, error = self.outcomes.pop(0)
        return Verdict(job.id, outcome, (), error=error)


PASSED, FAILED = (Outcome.passed, None), (Outcome.failed, "expected 1, got 2")
NAME = (Outcome.runtime_error, "NameError: name 'List' is not defined")


@pytest.mark.parametrize(
    ("outcomes", "cause", "runs"),
    [
        ([PASSED] * 3, Cause.passed, 3),
        ([FAILED] * 2, Cause.failed, 2),
        ([PASSED, FAILED, PASSED], Cause.flaky, 3),
        ([FAILED, PASSED, PASSED], Cause.flaky, 3),
        ([(Outcome.compile_error, "SyntaxError: x")] * 2, Cause.compile_error, 2),
        ([(Outcome.timeout, None)] * 2, Cause.timeout, 2),
        ([(Outcome.out_of_memory, None)] * 2, Cause.out_of_memory, 2),
        ([(Outcome.runtime_error, "KeyError: 1")] * 2, Cause.runtime_error, 2),
        ([(Outcome.runtime_error, "ModuleNotFoundError: x")] * 2, Cause.missing_library, 2),
        ([PASSED, (Outcome.infra_error, "gone")], Cause.infra_error, 2),
        ([NAME, NAME, PASSED, PASSED, PASSED], Cause.repaired, 5),
        ([NAME, NAME, PASSED, FAILED, PASSED], Cause.runtime_error, 2),
    ],
)
def test_the_outcomes_of_all_runs_determine_the_cause(outcomes, cause, runs) -> None:  # type: ignore[no-untyped-def]
    slot = Scripted(*outcomes)
    finding = examine(problem("p"), slot, runs=3)
    assert (finding.cause, finding.runs) == (cause, runs)
    assert slot.outcomes == []
    assert bool(finding.problem.preamble) == (cause is Cause.repaired)


def test_a_checker_that_fails_is_a_cause_of_its_own() -> None:
    class Checked:
        def run(self, job: Job) -> Verdict:
            tests = (TestResult(TestOutcome.checker_failed, "the checker failed: x"),)
            return Verdict(job.id, Outcome.infra_error, tests, error=tests[0].message)

    finding = examine(problem("p"), Checked(), runs=3)
    assert (finding.cause, finding.detail) == (Cause.checker_failed, "the checker failed: x")


def test_a_sandbox_that_cannot_be_opened_ends_verification() -> None:
    def broken(number: int):  # type: ignore[no-untyped-def]
        raise RuntimeError("no engine")

    with pytest.raises(RuntimeError, match="no engine"):
        list(examine_all([problem(str(i)) for i in range(9)], broken, slots=2, runs=1))


def test_all_slots_work_and_every_problem_is_examined_once() -> None:
    used = set()

    def slot(number: int):  # type: ignore[no-untyped-def]
        used.add(number)
        return nullcontext(Scripted(*[PASSED] * 100))

    findings = examine_all([problem(str(i)) for i in range(40)], slot, slots=3, runs=1)
    assert sorted(int(finding.problem.id) for finding in findings) == list(range(40))
    assert used == {0, 1, 2}


def test_closing_early_examines_no_more_and_closes_every_sandbox() -> None:
    examined, closed = [], []

    class Slot:
        def run(self, job: Job) -> Verdict:
            examined.append(job.id)
            return Verdict(job.id, Outcome.passed, ())

    @contextmanager
    def slot(number: int) -> Iterator[Slot]:
        yield Slot()
        closed.append(number)

    findings = examine_all((problem(str(i)) for i in count()), slot, slots=2, runs=1)
    next(findings)
    findings.close()
    assert sorted(closed) == [0, 1]
    assert len(examined) <= 5, "no more than was handed out before the first finding"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    solutions = {
        "good": "def f(x):\n    return 2 * x\n",
        "wrong": "def f(x):\n    return x\n",
        "broken": "def f(x)\n    return x\n",
        "needs": "def f(x: Deque[int]):\n    return 2 * x\n",
        "library": "import no_such_library\ndef f(x):\n    return 2 * x\n",
        "fine": "def f(x):\n    return x + x\n",
    }
    write_problems(path, [problem(name, text) for name, text in solutions.items()])
    return path


def command(source: Path) -> tuple[list[str], Path, Path]:
    kept, report = source.with_name("kept.jsonl"), source.with_name("report.json")
    arguments = ["data", "verify", str(source), "-o", str(kept), "--report", str(report)]
    return [*arguments, "--backend", "process", "--runs", "2", "--slots", "2"], kept, report


def test_a_file_is_verified_in_real_sandboxes(
    mixed: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    arguments, kept, report = command(mixed)
    assert main(arguments) == 0
    assert [p.id for p in read_problems(kept)] == ["good", "needs", "fine"]
    assert "from typing import *" in read_problems(kept)[1].preamble
    written = json.loads(report.read_text())
    assert written["causes"] == {
        "passed": 2,
        "repaired": 1,
        "compile_error": 1,
        "missing_library": 1,
        "failed": 1,
    }
    assert written["examples"]["failed"] == [{"id": "wrong", "detail": "expected 4, got 2"}]
    printed = capsys.readouterr()
    assert "3 of 6 problems kept" in printed.out
    assert "verifying: 6 of 6, 0 s left" in caplog.messages
    names = sorted(path.name for path in mixed.parent.iterdir())
    assert names == ["kept.jsonl", "problems.jsonl", "report.json"]


def test_an_interrupted_verification_continues_and_writes_the_same_files(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import deploy.verify.run as module

    caplog.set_level(logging.INFO)
    arguments, kept, report = command(mixed)
    assert main(arguments) == 0
    whole = kept.read_bytes(), report.read_bytes()
    kept.unlink()
    original, examined = module.examine_all, []

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        for number, finding in enumerate(original(*arguments)):
            if number == 3:
                raise KeyboardInterrupt
            yield finding

    def recorded(*arguments):  # type: ignore[no-untyped-def]
        for finding in original(*arguments):
            examined.append(finding.problem.id)
            yield finding

    monkeypatch.setattr(module, "examine_all", interrupted)
    assert main(arguments) == 130
    assert not kept.exists()
    journal = kept.with_name(".kept.jsonl.journal")
    journal.write_text(journal.read_text() + '{"digest": "cut of')
    monkeypatch.setattr(module, "examine_all", recorded)
    assert main(arguments) == 0
    assert "3 of 6 were verified before" in caplog.messages
    assert len(examined) == 3
    assert (kept.read_bytes(), report.read_bytes()) == whole
    assert not journal.exists()


def test_a_killed_verification_continues_where_it_stopped(tmp_path: Path) -> None:
    """After SIGKILL the second run examines only the rest, and writes the same files."""
    slow = "import time\ndef f(x):\n    time.sleep(0.1)\n    return 2 * x  # {}\n"
    source = tmp_path / "problems.jsonl"
    write_problems(source, [problem(f"p{n}", slow.format(n)) for n in range(30)])
    arguments, kept, report = command(source)
    journal = kept.with_name(".kept.jsonl.journal")
    started = subprocess.Popen([sys.executable, "-m", "deploy", *arguments], cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
            assert started.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        started.kill()
        started.wait()
    assert not kept.exists()
    assert not report.exists()
    before = journal.read_bytes().count(b"\n") - 1

    again = [sys.executable, "-m", "deploy", *arguments]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert f"{before} of 30 were verified before" in done.stderr
    assert json.loads(report.read_text())["causes"] == {"passed": 30}
    assert kept.read_bytes() == source.read_bytes()
    assert not journal.exists()


def test_a_journal_is_never_shorter_than_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a second run that takes it over stops in the middle of rewriting it."""
    path, settings = tmp_path / "journal", {"runs": 2}
    with Journal(path, settings) as journal:
        journal.add("d1", Finding(problem("p1"), Cause.passed))
    whole = path.read_bytes()

    def stopped(*_: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr("os.replace", stopped)
    with pytest.raises(OSError, match="no more"), Journal(path, settings):
        pass
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_all_of_mbpp_is_verified_with_a_table_of_causes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(os.environ.get("STEPCODER_DATA", ROOT.parent / "shared" / "data"))
    published = data / "mbpp" / "mbpp.jsonl"
    if not published.exists():
        pytest.skip(f"{published} is absent; point STEPCODER_DATA at a folder that has it")
    kept, report = tmp_path / "kept.jsonl", tmp_path / "report.json"
    arguments = ["data", "verify", str(published), "-o", str(kept), "--report", str(report)]
    assert main([*arguments, "--skip-bad", "--backend", "docker"]) == 0
    written = json.loads(report.read_text())
    assert written["problems"] == 974
    assert written["causes"]["passed"] >= 973, "mbpp/123 may need longer than its ten seconds"
    assert sum(written["causes"].values()) == 974
    assert set(written["causes"]) <= {"passed", "timeout", "flaky"}
    assert written["bad_records"]["fields"] == {}
    assert len(read_problems(kept)) == written["kept"] == written["causes"]["passed"]
    printed = capsys.readouterr().out
    assert f"{written['kept']} of 974 problems kept" in printed


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_all_of_human_eval_is_kept(tmp_path: Path) -> None:
    data = Path(os.environ.get("STEPCODER_DATA", ROOT.parent / "shared" / "data"))
    published = data / "humaneval" / "HumanEval.jsonl.gz"
    if not published.exists():
        pytest.skip(f"{published} is absent; point STEPCODER_DATA at a folder that has it")
    report = tmp_path / "report.json"
    arguments = ["data", "verify", str(published), "-o", str(tmp_path / "kept.jsonl")]
    assert main([*arguments, "--report", str(report), "--backend", "docker"]) == 0
    assert json.loads(report.read_text())["causes"] == {"passed": 164}


def test_a_journal_of_other_settings_is_ignored(mixed: Path) -> None:
    arguments, kept, _ = command(mixed)
    journal = kept.with_name(".kept.jsonl.journal")
    journal.write_text(json.dumps({"settings": {"runs": 99}}) + "\n")
    assert main(arguments) == 0
    assert len(read_problems(kept)) == 3


@pytest.mark.parametrize(("option", "value"), [("--runs", "0"), ("--slots", "0")])
def test_no_runs_or_no_slots_are_refused(
    mixed: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert main([*command(mixed)[0], option, value]) == 2
    assert "at least 1" in capsys.readouterr().err
