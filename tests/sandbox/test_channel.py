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
    assert answer.exit == ProcessExit(False, 0, 1.0, 1.0, True, False, False, True)
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
            assert repr(answer.exit) == repr(ProcessExit(*told))  # NaN is not itself
            assert answer.hits + answer.records == data[REPLY.size :][: hits + records]
        assert time.monotonic() - began < 5
