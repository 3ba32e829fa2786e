"""Opening a broadcast group: it ends when the first side fails, or at the deadline."""

from __future__ import annotations

import time
from typing import Any

import pytest

from actors.weights import rendezvous
from actors.weights.rendezvous import open_group

DEADLINE_S = 60.0


def opened(invite: Any, join: Any, deadline_s: float = DEADLINE_S) -> Any:
    return open_group("127.0.0.1", deadline_s, invite, join)[1]


def nothing(_: Any) -> None:
    """An end that is there at once."""


def never(_: Any) -> None:
    time.sleep(DEADLINE_S)


def failing(message: str) -> Any:
    def fail(_: Any) -> None:
        raise ConnectionError(message)

    return fail


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_GRACE_S", 0.2)


def test_the_engines_are_told_the_port_that_the_store_listens_on() -> None:
    told: list[int] = []
    store, group = open_group("127.0.0.1", DEADLINE_S, told.append, lambda store: store.port)
    assert told == [store.port] == [group]


def test_a_failed_engine_is_the_reason_and_is_not_waited_for() -> None:
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="the engine died"):
        opened(failing("the engine died"), never)
    with pytest.raises(ConnectionError, match="the engine died"):
        opened(failing("the engine died"), failing("the group is incomplete"))
    with pytest.raises(ConnectionError, match="no library on this end"):
        opened(never, failing("no library on this end"))
    assert time.monotonic() - started < DEADLINE_S / 2


@pytest.mark.parametrize(("invite", "join"), [(never, never), (nothing, never), (never, nothing)])
def test_a_side_that_does_not_come_ends_it_at_the_deadline(invite: Any, join: Any) -> None:
    with pytest.raises(TimeoutError, match=r"engines did not join within 0.3 s \(weights.timeout"):
        opened(invite, join, deadline_s=0.3)


def test_a_group_that_gives_up_at_the_deadline_is_a_late_engine() -> None:
    def gives_up(_: Any) -> None:
        time.sleep(0.3)
        raise RuntimeError("wait timeout after 300ms")

    with pytest.raises(TimeoutError, match=r"engines did not join within 0.3 s"):
        opened(never, gives_up, deadline_s=0.3)
