"""The load of the collectors' processes, from what their deliveries tell."""

from __future__ import annotations

import pytest

from actors.collectors.processor import ProcessorMeter


def test_the_busiest_process_is_told_since_the_answer_before() -> None:
    meter = ProcessorMeter()
    meter.heard("a", 10.0, now=100.0)
    meter.heard("b", 1.0, now=100.0)
    assert meter.busiest() is None, "nothing is known of the time before"
    meter.heard("a", 11.0, now=105.0)
    meter.heard("b", 4.0, now=110.0)
    assert meter.busiest() == pytest.approx(0.3)
    meter.heard("a", 16.0, now=115.0)
    assert meter.busiest() == pytest.approx(0.5)
    assert meter.busiest() is None, "nothing new was heard"


def test_deliveries_at_one_moment_are_no_load() -> None:
    meter = ProcessorMeter()
    meter.heard("a", 1.0, now=100.0)
    meter.heard("a", 1.01, now=100.01)
    assert meter.busiest() is None
    meter.heard("a", 2.0, now=102.0)
    assert meter.busiest() == pytest.approx(0.5)


def test_a_process_that_was_restarted_begins_anew() -> None:
    meter = ProcessorMeter()
    meter.heard("a", 50.0, now=100.0)
    meter.heard("a", 2.0, now=110.0)
    assert meter.busiest() == pytest.approx(0.2)
