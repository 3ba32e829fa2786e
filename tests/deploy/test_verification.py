"""`stepcoder data verify`: what is kept and why, and that an interruption costs nothing."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from curriculum.problem import Problem, Test, read_problems, write_problems
from deploy.cli import main
from deploy.verification import Cause, examine, verify
from sandbox import Outcome, Verdict

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
    import deploy.verification_run as module

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
