"""The simulated fleet: stations and engines with known answers, every sample once, predictions."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import random
from pathlib import Path
from typing import get_type_hints

import pytest

from actors.recording.rollout_file import FORMAT
from deploy.bench.fleet.simulator.assumptions import Assumptions, Costs, recorded
from deploy.bench.fleet.simulator.clock import Clock, Station
from deploy.bench.fleet.simulator.driver import Simulation
from deploy.bench.fleet.simulator.engine import SimulatedEngine
from deploy.bench.fleet.simulator.prediction import (
    MEASURED,
    NEAR,
    Prediction,
    held_against,
    measurements,
    predict,
    saturated,
)
from deploy.bench.fleet.simulator.table import fleets_table
from deploy.cli import main
from deploy.commands.simulation_options import SimulationOptions

SMALL = Assumptions(
    engines=6, engines_per_node=2, slots=24, slots_per_worker=4, prompts=24, steps=2, tokens=100,
    max_tokens=400,
)  # fmt: skip


def drain(clock: Clock) -> None:
    while clock.step():
        pass


@pytest.fixture(scope="module")
def small() -> Prediction:
    return predict(SMALL)


# ----------------------------------------------------------------------------- stations


def served(servers: int, arrivals: list[tuple[float, float]]) -> tuple[Station, list[float]]:
    """A station that got work of `(arrival, length)`, and when each ended."""
    clock, ended = Clock(), []
    station = Station(clock, servers)
    for at, length in arrivals:
        clock.after(
            at, lambda length=length: station.serve(length, lambda: ended.append(clock.now))
        )
    drain(clock)
    return station, ended


def test_work_waits_for_a_server_in_the_order_of_its_arrival() -> None:
    station, ended = served(1, [(0, 2), (1, 2), (1.5, 1)])
    assert ended == [2, 4, 5]
    assert station.longest_wait == 2.5
    assert station.used_s == 5


def test_several_servers_work_at_a_time() -> None:
    station, ended = served(2, [(0, 2), (0, 3), (0, 1)])
    assert ended == [2, 3, 3]
    assert station.used_s == 6
    assert station.longest_wait == 2


def test_a_single_server_is_used_and_waited_for_as_queueing_theory_says() -> None:
    # M/M/1 at 0.6: utilisation 0.6, mean time in the system 1 / (service rate - arrival rate).
    rng, clock, times = random.Random(3), Clock(), []
    station, at = Station(clock), 0.0
    for _ in range(40_000):
        at += rng.expovariate(0.6)

        def arrive(length: float = rng.expovariate(1.0)) -> None:
            came = clock.now
            station.serve(length, lambda: times.append(clock.now - came))

        clock.after(at, arrive)
    drain(clock)
    assert station.used_s / clock.now == pytest.approx(0.6, abs=0.02)
    assert sum(times) / len(times) == pytest.approx(1 / (1 - 0.6), rel=0.1)


# ----------------------------------------------------------------------------- engines


def ends(lengths: list[int], most: int = 10, sequence: float = 100) -> list[float]:
    """When sequences of these lengths end on an engine of 100 tokens/s, in order."""
    clock, ended = Clock(), []
    engine = SimulatedEngine(clock, 100, sequence, most)
    for length in lengths:
        engine.generate(length, lambda: ended.append(round(clock.now, 6)))
    drain(clock)
    assert engine.tokens == pytest.approx(sum(lengths))
    return ended


def test_sequences_share_an_engine() -> None:
    assert ends([100]) == [1]
    assert ends([100, 100]) == [2, 2]
    assert ends([50, 100]) == [1, 1.5]


def test_one_sequence_has_no_more_than_its_most() -> None:
    assert ends([100], sequence=50) == [2]
    assert ends([100, 200], sequence=50) == [2, 4]


def test_sequences_beyond_the_most_wait() -> None:
    assert ends([100, 100, 50], most=1) == [1, 2, 2.5]


def test_a_paused_engine_keeps_what_it_has() -> None:
    clock, ended = Clock(), []
    engine = SimulatedEngine(clock, 100, 100, 10)
    engine.generate(100, lambda: ended.append(clock.now))
    clock.after(0.5, lambda: engine.pause(True))
    clock.after(2.5, lambda: engine.pause(False))
    drain(clock)
    assert ended == [3]


# ----------------------------------------------------------------------------- fleets


@pytest.mark.parametrize("staleness", [0, 2])
def test_every_sample_asked_ends_once(staleness: int) -> None:
    given = SMALL.model_copy(update={"max_staleness": staleness})
    simulation = Simulation(given)
    asyncio.run(simulation.run())
    totals = simulation.ledger.totals
    steps = staleness + 1 + given.measured_steps + staleness
    assert simulation.steps == steps
    assert totals["asked"] == totals["trained"] == steps * given.round_samples
    assert sum(len(each.completions_s) for each in simulation.rounds) == totals["asked"]
    assert all(handle.samples == 0 for handle in simulation.handles)
    assert all(engine.tokens == 0 for handle in simulation.handles for engine in handle.engines)
    assert not any(any(each._pool._load) for each in simulation.collectors.values())


def test_a_seed_gives_one_prediction(small: Prediction) -> None:
    assert predict(SMALL) == small
    assert predict(SMALL.model_copy(update={"seed": 2})) != small


def test_the_fleet_generates_what_it_was_asked_for(small: Prediction) -> None:
    samples = SMALL.round_samples / small.step_s
    assert small.samples_per_s == pytest.approx(samples)
    assert all(0 <= share <= 1 for share in small.load.values())
    times = list(small.completed_s.values())
    assert times == sorted(times)


def test_engines_with_equal_lengths_hardly_wait(small: Prediction) -> None:
    quick = SMALL.model_copy(update={"learner_s": 0.1, "broadcast_s": 0.0})
    full = predict(quick.full())
    assert full.load["engines"] > 0.7 > small.load["engines"]
    assert full.completed_s["all"] < 1.5 * full.completed_s["half"]


def test_no_round_starts_before_its_weights_where_nothing_may_be_stale() -> None:
    given = SMALL.model_copy(update={"max_staleness": 0, "learner_s": 7.0, "broadcast_s": 1.0})
    assert predict(given).step_s > 8.0


def test_whole_turns_of_the_rounds_under_way_are_measured() -> None:
    given = SMALL.model_copy(update={"steps": 3})
    for staleness, steps in ((0, 3), (1, 4), (2, 3), (3, 4)):
        assert given.model_copy(update={"max_staleness": staleness}).measured_steps == steps
    assert predict(given) == dataclasses.replace(
        predict(given.model_copy(update={"steps": 4})), given=given
    )


def test_a_step_without_end_names_the_fullest_part() -> None:
    given = SMALL.model_copy(update={"slots": 1, "slots_per_worker": 1, "program_s": 30.0})
    with pytest.raises(TimeoutError, match=r"step_timeout_s.* 6 engines; .*: (sandbox|pool)"):
        predict(given)


def test_a_part_that_is_too_small_is_found() -> None:
    given = SMALL.full().model_copy(update={"slots": 2, "slots_per_worker": 1, "program_s": 0.2})
    prediction = predict(given)
    assert prediction.first in ("sandbox slots", "pool clients")
    assert prediction.busiest[prediction.first] > 0.9
    assert "first" in saturated([prediction])
    assert "what helps: more slots (--slots)" in saturated([prediction])


def test_the_driver_costs_what_its_messages_cost() -> None:
    cheap = Costs(idle_share=0)
    given = SMALL.model_copy(update={"heartbeat_s": 1e6, "costs": cheap, "max_staleness": 0})
    prediction = predict(given)
    groups, samples, collectors = given.prompts, given.round_samples, 3
    expected = (
        cheap.step_us
        + samples * cheap.sample_us
        + collectors * (cheap.order_us + cheap.delivery_us)
        + groups * cheap.group_us
        + collectors * cheap.call_us  # each asks its engines before the broadcast
    )
    assert prediction.driver_us_per_sample * samples == pytest.approx(expected, rel=1e-6)
    assert prediction.messages_per_round == 3 * collectors


def test_few_engines_are_predicted_as_they_were_measured() -> None:
    figures = list(held_against(MEASURED, Costs()))
    assert [figure.name[-1] for figure in figures] == ["1", "2"]
    for figure in figures:
        assert abs(figure.value / MEASURED[int(figure.name[-1])] - 1) <= NEAR
        assert figure.ok
    (far,) = held_against({1: 1000.0}, Costs())
    assert not far.ok


# ----------------------------------------------------------------------------- inputs, output


def test_lengths_and_times_come_from_recorded_rollouts(tmp_path: Path) -> None:
    samples = [{"token_ids": [1] * n, "wall_seconds": n / 10} for n in (3, 5, 0)]
    (tmp_path / "rollouts").mkdir()
    with gzip.open(tmp_path / "rollouts" / "step-000001.jsonl.gz", "wt") as file:
        file.write(json.dumps({"format": FORMAT, "samples": samples}) + "\n")
    known = recorded(tmp_path)
    assert known == {"recorded_tokens": (3, 5), "recorded_program_s": (0.3, 0.5)}
    given = SMALL.model_copy(update={**known})
    draw = given.lengths(random.Random(1))
    assert {draw() for _ in range(50)} == {3, 5}
    assert given.mean_tokens == 4


def test_drawn_lengths_have_the_mean_that_was_given() -> None:
    given = Assumptions(max_tokens=10**6)
    draw = given.lengths(random.Random(1))
    assert sum(draw() for _ in range(20_000)) / 20_000 == pytest.approx(400, rel=0.03)


def test_measurements_come_from_a_record(tmp_path: Path) -> None:
    figure = {"name": "driver_cpu_us_per_sample_at_2", "value": 9.0, "samples": [5, 6, 70]}
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps({"figures": [figure, {"name": "x", "value": 1, "samples": []}]}))
    assert measurements(path) == {2: 6}
    path.write_text('{"figures": []}')
    with pytest.raises(ValueError, match="no figure"):
        measurements(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="no record"):
        measurements(path)


@pytest.mark.parametrize(
    ("slots", "each"), [(10_000, 16), (24, 12), (20, 10), (7, 7), (17, 1), (1, 1)]
)
def test_every_slot_that_was_asked_for_is_simulated(slots: int, each: int) -> None:
    given = SimulationOptions(simulate=8, slots=slots).assumptions()
    assert given.slots_per_worker == each
    assert given.workers * given.slots_per_worker == slots


def test_the_help_of_an_option_ends_with_its_default() -> None:
    hints = get_type_hints(SimulationOptions, include_extras=True)
    defaults = Assumptions()
    shared = hints.keys() & Assumptions.model_fields.keys() - {
        "costs", "prompts", "slots_per_worker",
    }  # fmt: skip
    assert len(shared) > 15
    for name in shared:
        value = getattr(defaults, name)
        assert hints[name].__metadata__[0].help.endswith(f"; {value:g}."), name


def test_a_larger_fleet_has_the_same_load_for_each_engine() -> None:
    grown = Assumptions().grown(4096)
    assert (grown.engines, grown.prompts, grown.slots) == (4096, 8192, 10_000)


def test_the_table_has_a_row_for_every_part(small: Prediction) -> None:
    table = fleets_table([small, dataclasses.replace(small)])
    first = list(table.columns[0].cells)
    assert first[: len(small.load)] == list(small.load)


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "bench fleet --simulate 4 --sweep 8 --prompts 8 --tokens 50 --steps 1 --out"
    assert main([*command.split(), str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "full engines" in out
    assert "Modelled" in out
    record = json.loads((tmp_path / "fleet-simulated.json").read_text())
    names = {figure["name"] for figure in record["figures"]}
    assert {"drawn_driver_at_4", "full_driver_at_8", "full_messages_per_round_at_8"} <= names
    assert "predicted_driver_us_per_sample_at_1" in names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--slots 5", "--slots needs --simulate"),
        ("--simulate 0", "--simulate"),
        ("--simulate 4 --samples 0", "--samples"),
        ("--simulate 4 --sweep 2", "above --simulate"),
        ("--simulate 4 --sweep x", "numbers and commas"),
        ("--simulate 4 --tokens 500 --max-tokens 400", "--max-tokens 400"),
        ("--simulate 4 --slots 20 --slots-per-worker 16", "no multiple"),
        ("--simulate 4 --slots 0", "--slots: must be at least 1"),
        ("--simulate 4 --workers 8", "--sweep"),
        ("--simulate 4 --rounds 2", "--steps"),
        ("--simulate 4 --costs pyproject.toml", "no JSON"),
        ("--simulate 4 --run nowhere", "no recorded rollouts"),
        ("--simulate 4 --costs nowhere.json", "--costs nowhere.json"),
        ("--simulate 4 --measured nowhere.json", "--measured nowhere.json"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "fleet", *arguments.split()]) == 2
    assert said in capsys.readouterr().err
