"""The channel to a runner: every wait ends at its deadline, whatever the runner sends."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Limits, RunnerLost
from sandbox.channel import Channel, ProcessExit
from sandbox.runner.wire import REPLY, REQUEST


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def head(started=True, hits=0, records=0):
    return REPLY.pack(False, 0, 1.0, 1.0, started, False, False, True, hits, records)


def exchange(channel, deadline, job=b"{}"):
    channel.send(Limits(), True, job, deadline)
    return channel.reply(deadline)


def soon():
    return time.monotonic() + 0.3


def test_a_reply_may_arrive_in_pieces(pair):
    channel, theirs = pair
    data = head(hits=2, records=3) + b"\0\1" + b"abc"

    def send_byte_by_byte():
        for byte in data:
            theirs.sendall(bytes([byte]))

    thread = threading.Thread(target=send_byte_by_byte)
    thread.start()
    answer = exchange(channel, time.monotonic() + 10)
    thread.join()
    assert (answer.hits, answer.records) == (b"\0\1", b"abc")
    assert answer.exit == ProcessExit(False, 0, 1.0, 1.0, True, False, False, True)
    request = REQUEST.unpack(theirs.recv(REQUEST.size))
    assert request == (10.0, 10, 1024, 4096, True, 2)
    assert theirs.recv(10) == b"{}"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (head(hits=1 << 20), "malformed"),
        (head(records=1 << 31), "malformed"),
        (head(started=False), "could not start the program"),
        (head(hits=2), "did not answer in time"),
        (head()[:9], "did not answer in time"),
        (b"", "did not answer in time"),
    ],
)
def test_a_malformed_or_missing_reply_raises_before_long(pair, sent, message):
    channel, theirs = pair
    theirs.sendall(sent)
    missing = message == "did not answer in time"
    started = time.monotonic()
    with pytest.raises(RunnerLost, match=message):
        exchange(channel, soon() if missing else started + 60)
    assert time.monotonic() - started < 10


def test_a_dead_runner_raises_at_once(pair):
    channel, theirs = pair
    theirs.close()
    with pytest.raises(RunnerLost):
        exchange(channel, time.monotonic() + 60)


def test_a_job_that_the_runner_does_not_read_raises_at_the_deadline(pair):
    channel, _ = pair
    with pytest.raises(RunnerLost, match="in time"):
        exchange(channel, soon(), job=b"x" * (8 << 20))


@given(st.binary(max_size=64) | st.binary(max_size=8).map(lambda tail: head(hits=2) + tail))
def test_arbitrary_bytes_from_a_runner_never_hang_or_crash(data):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        started = time.monotonic()
        try:
            answer = exchange(Channel(ours), soon())
        except RunnerLost:
            pass
        else:
            *fields, hits, records = REPLY.unpack(data[: REPLY.size])
            assert repr(answer.exit) == repr(ProcessExit(*fields))  # NaN is not itself
            assert answer.hits + answer.records == data[REPLY.size :][: hits + records]
        assert time.monotonic() - started < 5
