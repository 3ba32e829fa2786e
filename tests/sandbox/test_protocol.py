"""Whatever bytes come from a child, the host gives a verdict, and never a false pass."""

import json
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.problem import Test
from sandbox import Job, Limits, TestOutcome
from sandbox.channel import Channel, Ending, Reply, RunnerLost
from sandbox.judging.judge import executed_lines, judge, overall, statements
from sandbox.runner.server import REPLY, REQUEST
from sandbox.verdict import Outcome

SOURCE = "def f(x):\n    return x\n"
TESTS = (Test(input=[1], output="one"), Test(input=[2], output=[2, 2]))
JOB = Job(id="p", source=SOURCE, fn_name="f", tests=TESTS)
HEAD = b"p 0 [[0, 9, 0], [14, 22, 0]]\n"


def reply(records, timed_out=False, status=0, hits=b""):
    return Reply(Ending(timed_out, status, 0.1, 0.1, True, False, False, True), hits, records)


def judged(records, **ending):
    run = judge(reply(records, **ending), JOB, TESTS, 10)
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
def test_arbitrary_records_give_a_verdict_and_no_pass(records, began, late, status):
    data = (HEAD if began else b"") + b"\n".join(records)
    run = judged(data, timed_out=late, status=status)
    if b'"one"' not in data:
        assert overall(run.tests) is not Outcome.passed
    for start, end, _ in statements([run]):
        assert 0 <= start < end <= len(SOURCE)


@given(st.binary(max_size=200))
def test_arbitrary_hits_are_harmless(hits):
    run = judge(reply(HEAD, hits=hits), JOB, TESTS, 10)
    found = statements([run])
    assert [statement.executed for statement in found] == [
        hits[i : i + 1] == b"\x01" for i in (1, 2)
    ]


def test_the_right_outputs_pass():
    run = judged(HEAD + b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n')
    assert overall(run.tests) is Outcome.passed


@pytest.mark.parametrize(
    "records",
    [
        HEAD + b'r 0 "one"\nz 0 null\n',
        HEAD + b'r 1 [2, 2]\nr 0 "one"\nz 0 null\n',
        HEAD + b'r 0 "one"\nr 0 "one"\nz 0 null\n',
        HEAD + b'r 0 "one"\nr 1 [2, 2]\nr 2 1\nz 0 null\n' + b"x" * 5 + b"\n",
        b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n',
        HEAD + HEAD + b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n',
        HEAD + b'o 0 "one"\nr 1 [2, 2]\nz 0 null\n',
        HEAD + b'r 0 "one"\nr 1 [2, 2',
        b"z 0 null\n",
        b"",
    ],
)
def test_outputs_out_of_order_or_incomplete_do_not_pass(records):
    assert overall(judged(records).tests) is not Outcome.passed or b"r 2 1" in records


def test_a_child_that_ends_early_is_told_by_its_death():
    def last(**ending):
        return judged(HEAD + b'r 0 "one"\n', **ending).tests[1]

    assert last(timed_out=True, status=9).outcome is TestOutcome.timeout
    assert last(status=9).outcome is TestOutcome.out_of_memory
    assert last(status=24).outcome is TestOutcome.timeout
    assert last(status=11).message == "the program was killed by SIGSEGV"
    assert last(status=93 << 8).message == "the program put out more than its limit"
    assert last(status=0).message == "the program ended its process (status 0)"


def test_forged_spans_are_refused():
    for spans in ("[[0, 99, 0]]", "[[5, 3, 0]]", "[[0, 9, 0], [4, 12, 0]]", "[[0, 9, 7]]", "3"):
        run = judged(f"p 0 {spans}\n".encode() + b'r 0 "one"\nr 1 [2, 2]\nz 0 null\n')
        assert overall(run.tests) is Outcome.runtime_error
        assert run.spans == []


def test_lines_of_statements_count_every_kind_of_line_break():
    source = b"a\r\nbb\rccc\nd"
    found = statements(
        [
            judge(
                reply(b"p 0 [[3, 9, 0], [10, 11, 0]]\n", hits=b"\0\1"),
                Job(id="x", source=source.decode(), fn_name=None, tests=TESTS),
                TESTS,
                1,
            )
        ]
    )
    assert executed_lines(source, found) == (2, 3)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def head(begun=True, hits=0, records=0):
    return REPLY.pack(False, 0, 1.0, 1.0, begun, False, False, True, hits, records)


def ask(channel, deadline, job=b"{}"):
    channel.send(Limits(), True, job, deadline)
    return channel.reply(deadline)


def soon():
    return time.monotonic() + 0.3


def test_a_reply_is_read_in_whatever_pieces_it_comes(pair):
    channel, theirs = pair
    data = head(hits=2, records=3) + b"\0\1" + b"abc"

    def dribble():
        for byte in data:
            theirs.sendall(bytes([byte]))

    thread = threading.Thread(target=dribble)
    thread.start()
    answer = ask(channel, time.monotonic() + 10)
    thread.join()
    assert (answer.hits, answer.records) == (b"\0\1", b"abc")
    assert answer.ending == Ending(False, 0, 1.0, 1.0, True, False, False, True)
    asked = REQUEST.unpack(theirs.recv(REQUEST.size))
    assert asked == (10.0, 10, 1024, 4096, True, 2)
    assert theirs.recv(10) == b"{}"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (head(hits=1 << 20), "malformed"),
        (head(records=1 << 31), "malformed"),
        (head(begun=False), "could not start the program"),
        (head(hits=2), "did not answer in time"),
        (head()[:9], "did not answer in time"),
        (b"", "did not answer in time"),
    ],
)
def test_a_broken_or_silent_runner_is_lost_in_time(pair, sent, message):
    channel, theirs = pair
    theirs.sendall(sent)
    began = time.monotonic()
    with pytest.raises(RunnerLost, match=message):
        ask(channel, soon())
    assert time.monotonic() - began < 2


def test_a_dead_runner_is_lost_at_once(pair):
    channel, theirs = pair
    theirs.close()
    with pytest.raises(RunnerLost):
        ask(channel, time.monotonic() + 60)


def test_a_job_too_big_to_be_taken_is_given_up_in_time(pair):
    channel, _ = pair
    with pytest.raises(RunnerLost, match="in time"):
        ask(channel, soon(), job=b"x" * (8 << 20))


@given(st.binary(max_size=64) | st.binary(max_size=8).map(lambda tail: head(hits=2) + tail))
def test_arbitrary_bytes_from_a_runner_never_hang_or_crash(data):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        try:
            answer = ask(Channel(ours), soon())
        except RunnerLost:
            pass
        else:
            *told, hits, records = REPLY.unpack(data[: REPLY.size])
            assert repr(answer.ending) == repr(Ending(*told))  # NaN is not itself
            assert answer.hits + answer.records == data[REPLY.size :][: hits + records]
        assert time.monotonic() - began < 5
