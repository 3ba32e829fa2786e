"""The statements that carry the blame for an exception, marked by hand."""

import time
from dataclasses import replace

import pytest

from sandbox.judging.blame import blame
from sandbox.runner.statements import number, parse
from sandbox.verdict import Outcome, Statement, TestOutcome, TestResult, Verdict
from tests.sandbox.constructs import CONSTRUCTS

CASES = {
    "a straight line: what gives its names, and nothing else": """
+ def f(a):
+     b = a[0]
-     c = 3
-     c += 1
! b.missing
""",
    "what stands behind the error was executed by other tests": """
+ def f(a):
-     if a:
-         a = a + [1]
!     t = tatol
-     t += 1
-     return t
""",
    "an unexecuted statement has no blame": """
+ def f(a):
x     a = 1
+     a = []
!     return a[0]
""",
    "the headers around it, and what they read": """
+ def f(a, n):
+     k = n + 1
-     u = 0
+     for x in a:
+         if x > k:
!             return 1 // 0
-         u += x
-     return u
""",
    "in a loop also what stands behind it, where it gives a name": """
+ def f(a):
+     t = 1
+     for x in a:
!         y = 1 // t
-         z = y
+         t = t - x
-     return t
""",
    "behind the loop nothing": """
+ def f(a):
+     t = a
+     while t:
!         t = t.next
-     t = 5
-     return t
""",
    "else, except, finally and case clauses above it": """
+ def f(a):
+     try:
-         b = a
-     except KeyError:
-         b = 1
+     else:
+         match a:
+             case [c]:
!                 return c.d
-     return b
""",
    "a method of the name, and a call whose result is not used": """
+ def f(a):
+     s = []
+     s.append(a)
+     sort(s)
-     print(a.b)
-     u = len(s)
!     return s[5]
""",
    "an item, an attribute, with, import and del": """
+ import heapq as h
- import os
+ def f(o):
+     o.x[0] = h
+     with o as p:
-         q = 3
+     del p[0]
!     return p.y
""",
    "its caller and the function whose value it reads": """
- LIMIT = 3
+ def half(n):
-     m = 5
+     return n // 2
+ def part(a):
+     k = half(a)
!     return a[k]
+ def f(a):
-     t = 0
+     b = sorted(a)
+     return part(b)
""",
    "at module level": """
+ n = int(input())
- print(n)
! m = 1 // n
- print(m)
""",
    "a method of a class": """
+ class Solution:
-     def other(self):
x         return 1
+     def f(self, a):
+         self.n = a
!         return self.n.missing
""",
    "an elif": """
+ def f(a):
+     if not a:
x         return 0
+     elif a > 1:
!         return b
x     else:
x         return 2
""",
}  # `!` raised, `+` blamed, `-` executed without blame, `x` not executed


def marked(text: str) -> tuple[str, Verdict, str]:
    """The program, its verdict, and the mark of each statement."""
    lines = text.strip("\n").splitlines()
    source = "\n".join(line[2:] for line in lines) + "\n"
    numbering = number(parse(source), source.encode())
    marks = "".join(lines[line - 1][0] for line in numbering.lines)
    statements = tuple(
        Statement(start, end, mark != "x")
        for (start, end, _), mark in zip(numbering.spans, marks, strict=True)
    )
    [raised] = [number for number, line in enumerate(lines, 1) if line[0] == "!"]
    tests = (
        TestResult(TestOutcome.passed),
        TestResult(TestOutcome.runtime_error, "ValueError", raised),
    )
    return source, Verdict("j", Outcome.runtime_error, tests, statements=statements), marks


@pytest.mark.parametrize("name", CASES)
def test_the_blame_is_as_marked_by_hand(name: str) -> None:
    source, verdict, marks = marked(CASES[name])
    flags = blame(source, verdict)
    assert flags is not None
    found = [
        (source.encode()[statement.start : statement.end].decode(), flag)
        for statement, flag in zip(verdict.statements, flags, strict=True)
    ]
    assert found == [(text, mark in "!+") for (text, _), mark in zip(found, marks, strict=True)]


def test_statements_of_one_line_are_blamed_together() -> None:
    source, verdict, _ = marked("! a = 1; b = a.c; d = 2\n- e = 3\n")
    assert blame(source, verdict) == (True, True, True, False)


def test_a_statement_over_several_lines_is_found_by_each_of_them() -> None:
    source, verdict, _ = marked("- a = 1\n! b = (\n+     c\n+ )\n")
    assert blame(source, with_line(verdict, 3)) == (False, True)


def test_several_tests_that_raise_share_the_blame() -> None:
    source, verdict, _ = marked("- a = 1\n! b = x\n- c = y\n- d = 2\n")
    both = (*verdict.tests, TestResult(TestOutcome.runtime_error, "NameError", 3))
    assert blame(source, replace(verdict, tests=both)) == (False, True, True, False)


def with_line(verdict: Verdict, line: int | None) -> Verdict:
    return replace(verdict, tests=(TestResult(TestOutcome.runtime_error, "E", line),))


def test_without_a_known_culprit_there_is_no_blame() -> None:
    source, verdict, _ = marked("- a = 1\n! b = x\nx c = y\n")
    assert blame(source, verdict) is not None
    failed = (TestResult(TestOutcome.failed, "1, not 2"),)
    assert blame(source, replace(verdict, tests=failed)) is None
    assert blame(source, with_line(verdict, None)) is None
    assert blame(source, with_line(verdict, 3)) is None, "it was not executed"
    assert blame(source, with_line(verdict, 99)) is None
    assert blame(source, replace(verdict, statements=())) is None
    assert blame(source, replace(verdict, coverage_tampered=True)) is None
    assert blame("print 'old'\n", verdict) is None


def test_only_executed_statements_are_blamed_whatever_the_program() -> None:
    """Over every construct of the coverage tests, each executed line in turn as the one raised."""
    for source in CONSTRUCTS.values():
        try:
            numbering = number(parse(source), source.encode())
        except SyntaxError:
            continue
        statements = tuple(
            Statement(start, end, at % 3 != 1) for at, (start, end, _) in enumerate(numbering.spans)
        )
        for line in sorted(set(numbering.lines)):
            tests = (TestResult(TestOutcome.runtime_error, "E", line),)
            verdict = Verdict("j", Outcome.runtime_error, tests, statements=statements)
            flags = blame(source, verdict)
            if flags is not None:
                assert any(flags)
                pairs = zip(flags, statements, strict=True)
                assert all(statement.executed for flag, statement in pairs if flag)


@pytest.mark.parametrize("line", ["x = x + 1\n", "x = x + 1; "])
def test_the_blame_of_a_looping_answer_takes_a_time_linear_in_its_length(line: str) -> None:
    """Each statement depends on all the others, and every test raises on another line."""
    source = line * 4000 + "\n"
    numbering = number(parse(source), source.encode())
    statements = tuple(Statement(start, end, True) for start, end, _ in numbering.spans)
    lines = sorted({*numbering.lines[::200]})
    tests = tuple(TestResult(TestOutcome.runtime_error, "E", line) for line in lines)
    verdict = Verdict("j", Outcome.runtime_error, tests, statements=statements)
    began = time.process_time()
    flags = blame(source, verdict)
    assert time.process_time() - began < 5, "a quadratic search takes minutes"
    assert flags is not None
    assert sum(flags) == (4000 if len(lines) == 1 else numbering.lines.index(lines[-1]) + 1)
