"""What a collector knows of its engines: the newest view, less what failed before its eyes."""

from __future__ import annotations

from actors.collectors.engines import EngineBoard
from actors.collectors.messages import EngineFailure, EngineState, EnginesView
from actors.rollout.engine_handle import EngineHandle


def board() -> EngineBoard:
    made = EngineBoard([EngineHandle("rollout-0", None), EngineHandle("rollout-1", None)])
    made.update(EnginesView(1, 5, (EngineState(0, True), EngineState(0, True))))
    return made


def ready(made: EngineBoard) -> list[str]:
    return [engine.name for engine in made.ready()]


def test_a_late_view_is_not_taken_for_the_newest() -> None:
    made = board()
    made.update(EnginesView(3, 6, (EngineState(0, False), EngineState(0, True))))
    made.update(EnginesView(2, 5, (EngineState(0, True), EngineState(0, True))))
    assert (made.version, ready(made)) == (6, ["rollout-1"])


def test_an_engine_that_failed_stays_out_until_it_was_restarted() -> None:
    made = board()
    changes: list[list[str]] = []
    made.subscribe(lambda: changes.append(ready(made)))
    engine = made.engines[0]
    made.replace(engine, 0, "its process ended")
    made.replace(engine, 0, "so says another stream")
    assert changes == [["rollout-1"]]
    assert made.take_failures() == (EngineFailure(0, 0, "its process ended"),)
    assert made.take_failures() == ()
    # Told before the driver heard of it.
    made.update(EnginesView(2, 5, (EngineState(0, True), EngineState(0, True))))
    assert ready(made) == ["rollout-1"]
    made.update(EnginesView(3, 5, (EngineState(1, False), EngineState(0, True))))
    made.replace(engine, 0, "a stream of the former one ends late")
    made.update(EnginesView(4, 5, (EngineState(1, True), EngineState(0, True))))
    assert ready(made) == ["rollout-0", "rollout-1"]


def test_a_failure_that_the_driver_did_not_hear_of_is_reported_again() -> None:
    """The delivery that told it may be of an order that the driver cancelled."""
    made = board()
    made.replace(made.engines[0], 0, "its stream ended early")
    assert made.take_failures() == (EngineFailure(0, 0, "its stream ended early"),)
    made.update(EnginesView(2, 5, (EngineState(0, False), EngineState(0, True))))
    assert not made.has_failures, "the driver knows of it"
    made.update(EnginesView(3, 5, (EngineState(0, True), EngineState(0, True))))
    assert made.take_failures() == (EngineFailure(0, 0, "its stream ended early"),)
    made.update(EnginesView(4, 5, (EngineState(1, True), EngineState(0, True))))
    assert not made.has_failures
