"""A benchmark's record: how figures are judged, the file, the table, the exit status."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from rich.console import Console

from deploy.bench.record import count, print_figures, ratio, run_benchmark, write_record
from deploy.cli import main

FIGURES = [ratio("vs_nothing", [1.5, 2.5, 3.5], "nothing", 3, 4), count("lost", 0, "x", None)]


def test_a_ratio_is_judged_by_its_median() -> None:
    assert ratio("a", [1, 9, 2], "b", 2, 3).value == 2
    assert ratio("a", [1, 9, 2], "b", 2, 3).ok
    assert not ratio("a", [1, 9, 1.9], "b", 2, 3).ok
    assert ratio("a", [1.0, 1.1], "b", 1.08, 1, lower=True).ok
    assert not ratio("a", [1.1, 1.1], "b", 1.08, 1, lower=True).ok
    assert ratio("a", [0.1], "b", None, None).ok, "without a target nothing is missed"


def test_a_count_must_reach_its_target_or_be_zero() -> None:
    assert count("a", 60, "x", at_least=60).ok
    assert not count("a", 59, "x", at_least=60).ok
    assert count("a", 0, "x", at_least=None).ok
    assert count("a", -1, "x", at_least=None).ok
    assert not count("a", 1, "x", at_least=None).ok


def test_a_benchmark_ends_with_its_table_its_file_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert run_benchmark("both", iter(FIGURES), tmp_path) == 1
        assert run_benchmark("good", iter(FIGURES[1:]), tmp_path) == 0
    assert "vs_nothing" in capsys.readouterr().out
    names = [
        figure["name"] for figure in json.loads((tmp_path / "both.json").read_text())["figures"]
    ]
    assert names == ["vs_nothing", "lost"]
    assert "vs_nothing 2.5 x" in caplog.messages
    assert f"written: {tmp_path / 'good.json'}" in caplog.messages


def test_the_file_has_the_form_of_every_benchmark(tmp_path: Path) -> None:
    path = write_record("sandbox", FIGURES, tmp_path / "bench")
    assert path == tmp_path / "bench" / "sandbox.json"
    assert [file.name for file in path.parent.iterdir()] == ["sandbox.json"]
    record = json.loads(path.read_text())
    assert list(record) == ["bench", "commit", "machine", "versions", "figures"]
    assert record["figures"][0] == {
        "name": "vs_nothing",
        "value": 2.5,
        "unit": "x",
        "baseline": "nothing",
        "target": 3,
        "moonshot": 4,
        "ok": False,
        "samples": [1.5, 2.5, 3.5],
    }


def test_the_table_marks_a_missed_target() -> None:
    out = io.StringIO()
    print_figures("sandbox", FIGURES, Console(file=out, width=130))
    rows = {line.split("│")[1].strip(): line for line in out.getvalue().splitlines() if "│" in line}
    assert "MISSED" in rows["vs_nothing"]
    assert "1.5" in rows["vs_nothing"]
    assert "ok" in rows["lost"]


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--soak", "9"]])
def test_a_benchmark_without_rounds_or_programs_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "sandbox", *arguments]) == 2
    assert "--rounds must be at least 1" in capsys.readouterr().err
