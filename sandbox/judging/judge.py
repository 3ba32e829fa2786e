"""Judging: a runner's reply and the expected outputs give a result per test and a verdict.

This happens on the host, because expected outputs never enter the container.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from curriculum.problem import Test
from sandbox.channel import ProcessExit, Reply
from sandbox.inputs import text_of
from sandbox.job import Job
from sandbox.judging.comparison import (
    OUTPUT_CHARS,
    difference,
    same_text,
    same_value,
    shortened,
    shown,
)
from sandbox.judging.coverage import executed_lines, statements
from sandbox.judging.records import (
    ErrorReport,
    Malformed,
    Record,
    Span,
    parse_end,
    parse_error,
    parse_record,
    parse_spans,
)
from sandbox.judging.tampering import is_suspicious
from sandbox.runner.values import BYTE_ORDER_MARK, Value
from sandbox.runner.wire import OUTPUT_LIMIT_STATUS
from sandbox.verdict import Outcome, TestOutcome, TestResult, Verdict

_WORST_FIRST = (
    (TestOutcome.timeout, Outcome.timeout),
    (TestOutcome.out_of_memory, Outcome.out_of_memory),
    (TestOutcome.runtime_error, Outcome.runtime_error),
    (TestOutcome.failed, Outcome.failed),
    (TestOutcome.checker_failed, Outcome.infra_error),
)
_DECIDES = dict(_WORST_FIRST)
_NOT_RUN = TestResult(TestOutcome.not_run)
_PASSED = TestResult(TestOutcome.passed)
_UNCHECKED = TestResult(TestOutcome.not_run, "waits for the checker")
_END = b"z"


@dataclass(slots=True)
class JudgedRun:
    """One run of a program, judged; where each test has its own process, several make a verdict."""

    exit: ProcessExit
    hits: bytes = b""
    tests: list[TestResult] = field(default_factory=list[TestResult])
    """One per test that this run was given."""
    spans: list[Span] = field(default_factory=list[Span])
    """One per statement of the program; a statement's id is its position plus one."""
    compiled: bool = False
    compile_error: ErrorReport | None = None
    unchecked: dict[int, str] = field(default_factory=dict[int, str])
    """What was printed on the tests whose results wait for the job's checker, by position."""
    load_error: TestResult | None = None
    """Raised before the first test, by the program's own top-level code or the tests' setup."""
    raised: TestResult | None = None
    """By the next stdin test, whose end is not recorded yet."""


def judge(reply: Reply, job: Job, tests: Sequence[Test | str], cpu_seconds: int) -> JudgedRun:
    """Compare a program's outputs on `tests` (all or some of `job.cases`) with the expected ones.

    `cpu_seconds` is the limit the program ran under.
    """
    run = JudgedRun(reply.exit, reply.hits)
    ended = False
    try:
        # Without what follows the last line end: a record that a death cut short.
        for line in reply.records.split(b"\n")[:-1]:
            if line.partition(b" ")[0] == _END:
                ended = True
            else:
                _add_record(run, parse_record(line), job, tests)
    except Malformed:
        run.tests.append(TestResult(TestOutcome.runtime_error, "the program wrote false records"))
    if run.compile_error or run.load_error:
        run.tests[:] = [run.load_error] if run.load_error else []
    elif not ended and len(run.tests) < len(tests):
        run.tests.append(_death(reply.exit, cpu_seconds))
    elif not ended and reply.exit.timed_out:
        # Every test has a result but the program did not end, for example for its own threads.
        run.tests[-1] = TestResult(TestOutcome.timeout)
    del run.tests[len(tests) :]
    run.tests += [_NOT_RUN] * (len(tests) - len(run.tests))
    waiting = {index for index, test in enumerate(run.tests) if test is _UNCHECKED}
    run.unchecked = {index: text for index, text in run.unchecked.items() if index in waiting}
    return run


def conclude(
    job: Job,
    runs: Sequence[JudgedRun],
    *,
    coverage: bool,
    isolation: Literal["docker", "process"],
    slot: int,
) -> Verdict:
    """The verdict on a job from its runs, of which there is at least one, in order of its tests."""
    tests = [test for run in runs for test in run.tests]
    skipped = len(job.cases) - len(tests)
    outcome = overall(tests)
    tests += [_NOT_RUN] * skipped
    error, line, covered = None, None, ()
    compile_error = runs[0].compile_error
    if compile_error is not None:
        outcome, error, line = Outcome.compile_error, compile_error.text, compile_error.line
    else:
        # Of the tests that decide: a wrong output is not why a program counts as crashed.
        deciding = (test for test in tests if _DECIDES.get(test.outcome) is outcome)
        if (test := next(deciding, None)) is not None:
            error, line = test.message or test.outcome.value, test.line
        if coverage:
            covered = statements(runs[0].spans, (run.hits for run in runs))
    return Verdict(
        job_id=job.id,
        outcome=outcome,
        tests=tuple(tests),
        executed_lines=executed_lines(job.source.encode(), covered) if covered else (),
        statements=covered,
        error=error,
        error_line=line,
        wall_seconds=sum(run.exit.wall_seconds for run in runs),
        cpu_seconds=sum(run.exit.cpu_seconds for run in runs),
        coverage_tampered=any(run.exit.tampered for run in runs) or is_suspicious(job.source),
        trusted_tests=job.assertions is None,
        isolation=isolation,
        stopped_early=job.stop_at_first_failure and skipped > 0,
        slot=slot,
    )


def overall(tests: Sequence[TestResult]) -> Outcome:
    """The program's outcome: the worst of its tests'; passed only if every single one passed."""
    seen = {test.outcome for test in tests}
    for test_outcome, outcome in _WORST_FIRST:
        if test_outcome in seen:
            return outcome
    if seen != {TestOutcome.passed}:
        return Outcome.runtime_error
    return Outcome.passed


def _add_record(run: JudgedRun, record: Record, job: Job, tests: Sequence[Test | str]) -> None:
    """Take in one record; raises Malformed for one that cannot come at this point."""
    kind, index, content = record
    if not run.compiled:
        if kind == b"p":
            run.spans, run.compiled = _spans(content, job.source), True
        elif kind == b"c" and run.compile_error is None:
            run.compile_error = parse_error(content)
        else:
            raise Malformed("a result before the program was compiled")
        return
    if kind == b"e" and index == -1 and not run.tests:
        run.load_error = _raised(content)
        return
    if index != len(run.tests) or index >= len(tests):
        raise Malformed("a result out of order")
    case = tests[index]
    if isinstance(case, str):
        run.tests.append(_assertion_result(kind, content, case))
    elif job.fn_name is None and kind == b"e" and run.raised is None:
        run.raised = _raised(content)
    elif job.fn_name is None:
        run.tests.append(_stdin_result(run, kind, content, job, case.output))
        run.raised = None
    else:
        run.tests.append(_output_result(kind, content, job, case.output))


def _spans(content: Value, source: str) -> list[Span]:
    """The statements in the source as it was given: the child sees it without its mark."""
    mark = len(BYTE_ORDER_MARK.encode()) if source.startswith(BYTE_ORDER_MARK) else 0
    spans = parse_spans(content, len(source.encode()) - mark)
    return [Span(start + mark, end + mark, alias) for start, end, alias in spans] if mark else spans


def _assertion_result(kind: bytes, content: Value, assertion: str) -> TestResult:
    """The result that the child reports of an assertion; nothing here can check it."""
    if kind == b"e":
        return _raised(content)
    if kind == b"a":
        return _PASSED
    if kind == b"f":
        return TestResult(TestOutcome.failed, f"does not hold: {shortened(assertion.strip())}")
    raise Malformed("a record of another kind of test")


def _output_result(kind: bytes, output: Value, job: Job, expected: Value) -> TestResult:
    """The result of comparing what a function returned with the expected output."""
    if kind == b"e":
        return _raised(output)
    if kind != b"r":
        raise Malformed("a record of another kind of test")
    if same_value(expected, output, job.comparison):
        return _PASSED
    message = difference(expected, output, job.comparison)
    return TestResult(TestOutcome.failed, message, output=shown(output, OUTPUT_CHARS))


def _stdin_result(
    run: JudgedRun, kind: bytes, content: Value, job: Job, expected: Value
) -> TestResult:
    """The result of a test that is a process: its exit status decides first, as for a shell."""
    if kind != b"o":
        raise Malformed("a record of another kind of test")
    end = parse_end(content)
    if end.status:
        return run.raised or _end_of_process(end.status)
    if job.checker is not None:
        run.unchecked[len(run.tests)] = end.printed
        return _UNCHECKED
    expected = text_of(expected)
    if same_text(expected, end.printed, job.comparison):
        return _PASSED
    message = difference(expected, end.printed, job.comparison)
    return TestResult(TestOutcome.failed, message, output=shortened(end.printed, OUTPUT_CHARS))


def _raised(content: Value) -> TestResult:
    type_name, text, line = parse_error(content)
    memory = type_name == "MemoryError"
    return TestResult(
        TestOutcome.out_of_memory if memory else TestOutcome.runtime_error, text, line
    )


def _death(exit: ProcessExit, cpu_seconds: int) -> TestResult:
    """The result of the test during which a process ended without a record of it."""
    if exit.timed_out:
        return TestResult(TestOutcome.timeout)
    # SIGKILL comes from the processor limit, a second after SIGXCPU, or from the kernel when the
    # container's memory is exhausted.
    killed = os.WIFSIGNALED(exit.status) and os.WTERMSIG(exit.status) == signal.SIGKILL
    if killed and exit.cpu_seconds >= cpu_seconds:
        return _end_of_process(signal.SIGXCPU)
    if exit.status == OUTPUT_LIMIT_STATUS << 8:
        return TestResult(TestOutcome.runtime_error, "the program's output exceeds its limit")
    return _end_of_process(exit.status)


def _end_of_process(status: int) -> TestResult:
    """The result of a test whose process ended so (`os.waitpid`), other than by an exception."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return TestResult(TestOutcome.timeout, "processor time limit")
        if number == signal.SIGKILL:
            return TestResult(TestOutcome.out_of_memory, "killed by the kernel")
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return TestResult(TestOutcome.runtime_error, f"the program was killed by {name}")
    code = os.WEXITSTATUS(status)
    return TestResult(TestOutcome.runtime_error, f"the program ended its process (status {code})")
