"""`stepcoder data verify`: what is kept and why, and that an interruption costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.problem import Problem, Test
from deploy.cli import main
from deploy.verify.report import Cause, Finding, examine, verify
from deploy.verify.run import Journal
from sandbox import Outcome, Verdict

ROOT = Path(__file__).resolve().parents[3]
DOUBLE = Test(input=[2], output=4)


def problem(name: str, solution: str = "def f(x):\n    return 2 * x\n") -> Problem:
    return Problem(
        id=name,
        question=name,
        canonical_solution=solution,
        fn_name="f",
        tests=(DOUBLE,),
        difficulty="interview",
        source="test",
    )


class Scripted:
    """A sandbox that gives the outcomes it is told, in turn."""

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
        ([FAILED] * 2, Cause.wrong_output, 2),
        ([PASSED, FAILED, PASSED], Cause.flaky, 3),
        ([FAILED, PASSED, PASSED], Cause.flaky, 3),
        ([(Outcome.compile_error, "SyntaxError: x")] * 2, Cause.syntax_error, 2),
        ([(Outcome.timeout, None)] * 2, Cause.timeout, 2),
        ([(Outcome.out_of_memory, None)] * 2, Cause.out_of_memory, 2),
        ([(Outcome.runtime_error, "KeyError: 1")] * 2, Cause.runtime_error, 2),
        ([(Outcome.runtime_error, "ModuleNotFoundError: x")] * 2, Cause.missing_library, 2),
        ([PASSED, (Outcome.infra_error, "gone")], Cause.infra_error, 2),
        ([NAME, NAME, PASSED, PASSED, PASSED], Cause.repaired, 5),
        ([NAME, NAME, PASSED, FAILED, PASSED], Cause.runtime_error, 2),
    ],
)
def test_outcomes_of_runs_make_one_cause(outcomes, cause, runs) -> None:  # type: ignore[no-untyped-def]
    slot = Scripted(*outcomes)
    found = examine(problem("p"), slot, runs=3)
    assert (found.cause, found.runs) == (cause, runs)
    assert slot.outcomes == []
    assert bool(found.problem.preamble) == (cause is Cause.repaired)


def test_a_sandbox_that_cannot_be_opened_ends_verification() -> None:
    def broken(number: int):  # type: ignore[no-untyped-def]
        raise RuntimeError("no engine")

    with pytest.raises(RuntimeError, match="no engine"):
        list(verify([problem(str(i)) for i in range(9)], broken, slots=2, runs=1))


def test_all_slots_work_and_every_problem_is_found_once() -> None:
    used = set()

    def slot(number: int):  # type: ignore[no-untyped-def]
        used.add(number)
        return nullcontext(Scripted(*[PASSED] * 100))

    found = verify([problem(str(i)) for i in range(40)], slot, slots=3, runs=1)
    assert sorted(int(f.problem.id) for f in found) == list(range(40))
    assert used == {0, 1, 2}


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
    words = ["data", "verify", str(source), "-o", str(kept), "--report", str(report)]
    return [*words, "--backend", "process", "--runs", "2", "--slots", "2"], kept, report


def test_a_file_is_verified_in_real_sandboxes(
    mixed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, kept, report = command(mixed)
    assert main(words) == 0
    assert [p.id for p in read_problems(kept)] == ["good", "needs", "fine"]
    assert "from typing import *" in read_problems(kept)[1].preamble
    found = json.loads(report.read_text())
    assert found["causes"] == {
        "passed": 2,
        "repaired": 1,
        "syntax_error": 1,
        "missing_library": 1,
        "wrong_output": 1,
    }
    assert found["examples"]["wrong_output"] == [{"id": "wrong", "detail": "expected 4, got 2"}]
    printed = capsys.readouterr()
    assert "3 of 6 problems kept" in printed.out
    assert "6 of 6 verified, 0 s left" in printed.err
    names = sorted(path.name for path in mixed.parent.iterdir())
    assert names == ["kept.jsonl", "problems.jsonl", "report.json"]


def test_an_interrupted_verification_goes_on_and_ends_with_the_same_files(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import deploy.verify.run as module

    words, kept, report = command(mixed)
    assert main(words) == 0
    whole = kept.read_bytes(), report.read_bytes()
    kept.unlink()
    original, asked = module.verify, []

    def interrupted(problems, *rest):  # type: ignore[no-untyped-def]
        for count, found in enumerate(original(problems, *rest)):
            if count == 3:
                raise KeyboardInterrupt
            yield found

    def recorded(problems, *rest):  # type: ignore[no-untyped-def]
        for found in original(problems, *rest):
            asked.append(found.problem.id)
            yield found

    monkeypatch.setattr(module, "verify", interrupted)
    assert main(words) == 130
    assert not kept.exists()
    journal = kept.with_name(".kept.jsonl.journal")
    journal.write_text(journal.read_text() + '{"digest": "cut of')
    monkeypatch.setattr(module, "verify", recorded)
    assert main(words) == 0
    assert "3 of 6 were verified before" in capsys.readouterr().err
    assert len(asked) == 3
    assert (kept.read_bytes(), report.read_bytes()) == whole
    assert not journal.exists()


def test_a_killed_verification_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9 in the middle; the second run asks only for the rest, and writes the same files."""
    slow = "import time\ndef f(x):\n    time.sleep(0.1)\n    return 2 * x  # {}\n"
    source = tmp_path / "problems.jsonl"
    write_problems(source, [problem(f"p{n}", slow.format(n)) for n in range(30)])
    words, kept, report = command(source)
    journal = kept.with_name(".kept.jsonl.journal")
    started = subprocess.Popen([sys.executable, "-m", "deploy", *words], cwd=ROOT)
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

    again = [sys.executable, "-m", "deploy", *words]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert f"{before} of 30 were verified before" in done.stderr
    assert json.loads(report.read_text())["causes"] == {"passed": 30}
    assert kept.read_bytes() == source.read_bytes()
    assert not journal.exists()


def test_a_journal_is_never_shorter_than_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the machine stops while a second run takes it over."""
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
    words = ["data", "verify", str(published), "-o", str(kept), "--report", str(report)]
    assert main([*words, "--skip-bad", "--backend", "docker"]) == 0
    found = json.loads(report.read_text())
    assert found["problems"] == 966
    assert found["causes"]["passed"] >= 964, "mbpp/123 may need longer than its ten seconds"
    assert sum(found["causes"].values()) == 966
    assert set(found["causes"]) <= {"passed", "timeout", "flaky"}
    assert found["bad_records"]["fields"] == {"test_list": 8}
    assert len(read_problems(kept)) == found["kept"] == found["causes"]["passed"]
    printed = capsys.readouterr().out
    assert f"{found['kept']} of 966 problems kept" in printed
    assert "bad record: test_list" in printed


def test_a_journal_of_other_settings_is_not_believed(mixed: Path) -> None:
    words, kept, _ = command(mixed)
    journal = kept.with_name(".kept.jsonl.journal")
    journal.write_text(json.dumps({"settings": {"runs": 99}}) + "\n")
    assert main(words) == 0
    assert len(read_problems(kept)) == 3


@pytest.mark.parametrize(("option", "value"), [("--runs", "0"), ("--slots", "0")])
def test_impossible_numbers_are_refused(
    mixed: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert main([*command(mixed)[0], option, value]) == 2
    assert "at least 1" in capsys.readouterr().err
