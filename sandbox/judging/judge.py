"""From what a runner saw to a verdict: here, on the host, outputs meet the expected ones."""

import os
import re
import signal
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curriculum.problem import Test
from sandbox.channel import Ending, Reply
from sandbox.job import Job
from sandbox.judging.comparison import difference, same_text, same_value, shortened
from sandbox.runner import values
from sandbox.runner.server import OUTPUT_LIMIT_STATUS
from sandbox.verdict import Outcome, Statement, TestOutcome, TestResult

_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
_WORST_FIRST = (
    (TestOutcome.timeout, Outcome.timeout),
    (TestOutcome.out_of_memory, Outcome.out_of_memory),
    (TestOutcome.runtime_error, Outcome.runtime_error),
    (TestOutcome.failed, Outcome.failed),
)
_NOT_RUN = TestResult(TestOutcome.not_run)
_PASSED = TestResult(TestOutcome.passed)


class Malformed(Exception):
    """Records that no runner writes: the program wrote them."""


@dataclass(slots=True)
class Run:
    """One run of a program, judged; where each test has its own process, several make a verdict."""

    ending: Ending
    tests: list[TestResult] = field(default_factory=list)
    """One per test that this run was given."""
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    """`(start, end, alias)` of each statement; id = position + 1."""
    hits: bytes = b""
    compiled: bool = False
    compile_error: tuple[str, int | None] | None = None
    load_error: TestResult | None = None


def judge(reply: Reply, job: Job, tests: Sequence[Test | str], cpu_seconds: int) -> Run:
    """Compare what a program put out on `tests` (all or some of `job.cases`) with the expected."""
    run = Run(reply.ending, hits=reply.hits)
    ended = False
    try:
        for record in reply.records.split(b"\n")[:-1]:
            ended = _read(record, run, job, tests) or ended
    except Malformed:
        run.tests.append(TestResult(TestOutcome.runtime_error, "the program wrote false records"))
    if run.compile_error or run.load_error:
        run.tests[:] = [run.load_error] if run.load_error else []
    elif not ended and len(run.tests) < len(tests):
        run.tests.append(_death(reply.ending, cpu_seconds))
    elif not ended and reply.ending.timed_out:
        run.tests[-1] = TestResult(TestOutcome.timeout)
    del run.tests[len(tests) :]
    run.tests += [_NOT_RUN] * (len(tests) - len(run.tests))
    return run


def overall(tests: Sequence[TestResult]) -> Outcome:
    """The program's outcome from its tests': the worst; passed only if every single one passed."""
    seen = {test.outcome for test in tests}
    for test_outcome, outcome in _WORST_FIRST:
        if test_outcome in seen:
            return outcome
    if seen != {TestOutcome.passed}:
        return Outcome.runtime_error
    return Outcome.passed


def statements(runs: Sequence[Run]) -> tuple[Statement, ...]:
    """Every statement of the program, executed if it was so in any of its runs."""

    hits = {identity for run in runs for identity, hit in enumerate(run.hits) if hit == 1} - {0}
    return tuple(
        Statement(start, end, identity in hits or alias in hits)
        for identity, (start, end, alias) in enumerate(runs[0].spans, 1)
    )


def executed_lines(source: bytes, found: Sequence[Statement]) -> tuple[int, ...]:
    """The lines (1-based) on which an executed statement owns at least one byte."""
    starts = [0, *(match.end() for match in _LINE_BREAK.finditer(source))]
    lines: set[int] = set()
    for start, end, executed in found:
        if executed:
            lines.update(range(bisect_right(starts, start), bisect_right(starts, end - 1) + 1))
    return tuple(sorted(lines))


def _read(record: bytes, run: Run, job: Job, tests: Sequence[Test | str]) -> bool:
    """Take in one record; True for the end record."""
    kind, _, rest = record.partition(b" ")
    index_text, _, text = rest.partition(b" ")
    if kind == b"z":
        return True
    try:
        index = int(index_text)
        content = values.loads_result(text)
    except RecursionError:
        content, index = values.Opaque("deeply nested"), len(run.tests)
    except (ValueError, MemoryError) as error:
        raise Malformed from error
    if not run.compiled:
        if kind == b"p":
            run.spans, run.compiled = _spans(content, len(job.source.encode())), True
        elif kind == b"c" and run.compile_error is None:
            run.compile_error = _error(content)
        else:
            raise Malformed
        return False
    if kind == b"e" and index == -1 and not run.tests:
        run.load_error = _raised(content)
        return False
    if index != len(run.tests) or index >= len(tests):
        raise Malformed
    case = tests[index]
    if isinstance(case, str):
        run.tests.append(_asserted(kind, content, case))
    else:
        run.tests.append(_result(kind, content, job.fn_name, case.output))
    return False


def _asserted(kind: bytes, content: Any, assertion: str) -> TestResult:
    """What the child says of an assertion: its word is all there is."""
    if kind == b"e":
        return _raised(content)
    if kind == b"a":
        return _PASSED
    if kind == b"f":
        return TestResult(TestOutcome.failed, f"does not hold: {shortened(assertion.strip())}")
    raise Malformed


def _result(kind: bytes, content: Any, fn_name: str | None, expected: Any) -> TestResult:
    if kind == b"e":
        return _raised(content)
    if kind == b"r" and fn_name is not None:
        same = same_value(expected, content)
    elif kind == b"o" and fn_name is None and isinstance(content, str):
        expected = expected if isinstance(expected, str) else "\n".join(map(str, expected))
        same = same_text(expected, content)
    else:
        raise Malformed
    return _PASSED if same else TestResult(TestOutcome.failed, difference(expected, content))


def _error(content: Any) -> tuple[str, int | None]:
    if not isinstance(content, list) or len(content) != 3:
        raise Malformed
    kind, message, line = content
    if not isinstance(kind, str) or not isinstance(message, str):
        raise Malformed
    text = f"{kind}: {message}" if message else f"{kind}"
    return text[:1000], line if isinstance(line, int) and line > 0 else None


def _raised(content: Any) -> TestResult:
    message, line = _error(content)
    memory = content[0] == "MemoryError"
    outcome = TestOutcome.out_of_memory if memory else TestOutcome.runtime_error
    return TestResult(outcome, message, line)


def _spans(content: Any, size: int) -> list[tuple[int, int, int]]:
    """The spans, if disjoint, in order and within the source; a program may have forged them."""
    spans, last = [], 0
    if not isinstance(content, list):
        raise Malformed
    for item in content:
        if not (isinstance(item, list) and len(item) == 3 and all(type(n) is int for n in item)):
            raise Malformed
        start, end, alias = item
        if not last <= start < end <= size or not 0 <= alias <= len(content):
            raise Malformed
        last = end
        spans.append((start, end, alias))
    return spans


def _death(ending: Ending, cpu_seconds: int) -> TestResult:
    """Why a process ended without saying so."""
    if ending.timed_out:
        return TestResult(TestOutcome.timeout)
    if os.WIFSIGNALED(ending.status):
        number = os.WTERMSIG(ending.status)
        if number == signal.SIGXCPU or (number == signal.SIGKILL and ending.cpu >= cpu_seconds):
            return TestResult(TestOutcome.timeout, "processor time limit")
        if number == signal.SIGKILL:
            return TestResult(TestOutcome.out_of_memory, "killed by the kernel")
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return TestResult(TestOutcome.runtime_error, f"the program was killed by {name}")
    code = os.WEXITSTATUS(ending.status)
    if code == OUTPUT_LIMIT_STATUS:
        return TestResult(TestOutcome.runtime_error, "the program put out more than its limit")
    return TestResult(TestOutcome.runtime_error, f"the program ended its process (status {code})")
