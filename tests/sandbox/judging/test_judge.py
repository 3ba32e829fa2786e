"""Judging: any bytes from a child give a verdict, and never a pass that the program forged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.problem import Test
from sandbox import Job, Outcome, TestOutcome
from sandbox.channel import ProcessExit, Reply
from sandbox.judging.coverage import executed_lines, statements
from sandbox.judging.judge import conclude, judge, overall
from sandbox.judging.records import Span
from sandbox.verdict import TestResult

SOURCE = "def f(x):\n    return x\n"
TESTS = (Test(input=[1], output="one"), Test(input=[2], output=[2, 2]))
JOB = Job(id="p", source=SOURCE, fn_name="f", tests=TESTS)
HEAD = b"p 0 [[0, 9, 0], [14, 22, 0]]\n"


def reply(records, timed_out=False, status=0, hits=b""):
    return Reply(ProcessExit(timed_out, status, 0.1, 0.1, True, False, False, True), hits, records)


def judge_records(records, **exit_fields):
    run = judge(reply(records, **exit_fields), JOB, TESTS, 10)
    assert len(run.tests) == len(TESTS)
    return run


RECORD = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda kind, index, value: f"{kind} {index} {json.dumps(value)}".encode(),
        st.sampled_from("pcreoafz"),
        st.integers(-2, 3),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3) | st.floats(),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["\0set", "\0dict", "\0int", "a"]), inner, max_size=2
                )
            ),
            max_leaves=8,
        ),
    ),
)


@given(st.lists(RECORD), st.booleans(), st.booleans(), st.integers(0, 0xFFFF))
def test_arbitrary_records_give_a_verdict_and_no_pass(records, compiled, timed_out, status):
    data = (HEAD if compiled else b"") + b"\n".join(records)
    run = judge_records(data, timed_out=timed_out, status=status)
    if b'"one"' not in data:
        assert overall(run.tests) is not Outcome.passed
    for start, end, _ in statements(run.spans, [run.hits]):
        assert 0 <= start < end <= len(SOURCE)


@given(st.binary(max_size=200))
def test_arbitrary_hits_are_harmless(hits):
    run = judge(reply(HEAD, hits=hits), JOB, TESTS, 10)
    executed = [statement.executed for statement in statements(run.spans, [run.hits])]
    assert executed == [hits[i : i + 1] == b"\x01" for i in (1, 2)]


def test_the_right_outputs_pass():
    run = judge_records(HEAD + b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n')
    assert overall(run.tests) is Outcome.passed


@pytest.mark.parametrize(
    "records",
    [
        HEAD + b'r 0 "one"\nz 0 null\n',
        HEAD + b'r 1 [2, 2]\nr 0 "one"\nz 0 null\n',
        HEAD + b'r 0 "one"\nr 0 "one"\nz 0 null\n',
        b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n',
        HEAD + HEAD + b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n',
        HEAD + b'o 0 "one"\nr 1 [2, 2]\nz 0 null\n',
        HEAD + b'r 0 "one"\nr 1 [2, 2',
        b"z 0 null\n",
        b"",
    ],
)
def test_outputs_out_of_order_or_incomplete_do_not_pass(records):
    assert overall(judge_records(records).tests) is not Outcome.passed


def test_records_after_the_last_test_do_not_count():
    records = HEAD + b'r 0 "one"\nr 1 [2, 2]\nr 2 1\nz 0 null\nxxxxx\n'
    assert overall(judge_records(records).tests) is Outcome.passed


def test_the_result_of_a_dead_child_follows_from_how_it_died():
    def last(**exit_fields):
        return judge_records(HEAD + b'r 0 "one"\n', **exit_fields).tests[1]

    assert last(timed_out=True, status=9).outcome is TestOutcome.timeout
    assert last(status=9).outcome is TestOutcome.out_of_memory
    assert last(status=24).outcome is TestOutcome.timeout
    assert last(status=11).message == "the program was killed by SIGSEGV"
    assert last(status=93 << 8).message == "the program's output exceeds its limit"
    assert last(status=0).message == "the program ended its process (status 0)"


def test_the_error_of_a_verdict_is_of_a_test_that_decides_it():
    wrong = TestResult(TestOutcome.failed, "expected 1, got 2", 3)
    crashed = TestResult(TestOutcome.runtime_error, "ModuleNotFoundError: No module named 'numpy'")
    run = judge(reply(HEAD), JOB, TESTS, 10)
    run.tests[:] = [wrong, crashed]
    verdict = conclude(JOB, [run], coverage=False, isolation="process", slot=0)
    assert (verdict.outcome, verdict.error_line) == (Outcome.runtime_error, None)
    assert verdict.missing_library == "numpy"
    run.tests[:] = [TestResult(TestOutcome.checker_failed, "no"), wrong]
    verdict = conclude(JOB, [run], coverage=False, isolation="process", slot=0)
    assert (verdict.error, verdict.error_line) == ("expected 1, got 2", 3)


def test_forged_spans_are_refused():
    for spans in ("[[0, 99, 0]]", "[[5, 3, 0]]", "[[0, 9, 0], [4, 12, 0]]", "[[0, 9, 7]]", "3"):
        run = judge_records(f"p 0 {spans}\n".encode() + b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n')
        assert overall(run.tests) is Outcome.runtime_error
        assert run.spans == []


def test_executed_lines_count_every_kind_of_line_break():
    source = b"a\r\nbb\rccc\nd"
    covered = statements([Span(3, 9, 0), Span(10, 11, 0)], [b"\0\1"])
    assert executed_lines(source, covered) == (2, 3)


def test_a_statement_is_executed_if_it_was_in_any_run():
    covered = statements([Span(0, 1, 0), Span(2, 3, 0), Span(4, 5, 0)], [b"\0\1", b"\0\0\1"])
    assert [statement.executed for statement in covered] == [True, True, False]


def test_an_else_is_executed_with_the_first_statement_of_its_suite():
    covered = statements([Span(0, 1, 2), Span(2, 3, 0)], [b"\0\0\1"])
    assert [statement.executed for statement in covered] == [True, True]
