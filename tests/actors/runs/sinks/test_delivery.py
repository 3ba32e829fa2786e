"""A sink gets everything in order, and neither its failures nor its slowness reach the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from actors.runs.sinks import delivery
from actors.runs.sinks.base import Sink
from actors.runs.sinks.delivery import Delivery


class ListSink(Sink):
    """Keeps the steps that it is given, and fails at some."""

    def __init__(self, fail_at: Sequence[int] = ()) -> None:
        self.steps: list[int] = []
        self.closed = False
        self._fail_at = fail_at

    @override
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        if step in self._fail_at:
            raise ConnectionError("no route to host")
        self.steps.append(step)

    @override
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None: ...

    @override
    def add_folder(self, name: str, folder: Path) -> None: ...

    @override
    def close(self) -> None:
        self.closed = True


def test_everything_arrives_in_order_and_the_sink_is_closed() -> None:
    sink = ListSink()
    made = Delivery("list", lambda: sink)
    for step in range(50):
        made.send("write", step, {})
    made.close()
    assert sink.steps == list(range(50))
    assert sink.closed
    assert made.lost == 0


def test_what_fails_is_counted_and_told_at_its_first_tenth_and_hundredth(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = ListSink(fail_at=range(12))
    made = Delivery("list", lambda: sink)
    for step in range(20):
        made.send("write", step, {})
    made.close()
    assert sink.steps == list(range(12, 20))
    assert made.lost == 12
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "sink list: 1 not received: ConnectionError: no route to host",
        "sink list: 10 not received: ConnectionError: no route to host",
        "sink list: did not receive 12 of what was sent; metrics.jsonl has all figures",
    ]


def test_a_sink_that_cannot_be_opened_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Sink:
        raise PermissionError("the key is wrong")

    made = Delivery("list", fail)
    made.send("write", 1, {})
    made.close()
    assert made.lost == 1
    assert "could not be opened: PermissionError: the key is wrong" in caplog.text


def test_a_sink_that_hangs_is_left_behind_after_its_deadline(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_SILENT_S", 0.01)
    monkeypatch.setattr(delivery, "MOST_PENDING", 5)
    caplog.set_level(logging.INFO)
    release, hung = threading.Event(), threading.Event()

    def hang() -> Sink:
        hung.set()
        release.wait()
        return ListSink()

    made = Delivery("list", hang, close_s=0.05)
    hung.wait()
    for step in range(8):
        made.send("write", step, {})
    made.close()
    release.set()
    assert made.lost == 8
    assert "not done after 0.05 s; it is left behind" in caplog.text
