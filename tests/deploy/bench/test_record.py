"""What a benchmark leaves behind: the file's form, and a table that names what was missed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deploy.bench.record import print_figures, write_record
from deploy.bench.sandbox import count, ratio
from deploy.cli import main

FIGURES = [ratio("vs_nothing", [1.5, 2.5, 3.5], "nothing", 3, 4), count("lost", 0, "x", None)]


def test_the_file_has_the_form_of_every_benchmark(tmp_path: Path) -> None:
    path = write_record("sandbox", FIGURES, tmp_path / "bench")
    assert path == tmp_path / "bench" / "sandbox.json"
    assert [found.name for found in path.parent.iterdir()] == ["sandbox.json"]
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


def test_the_table_says_which_target_was_missed() -> None:
    out = io.StringIO()
    print_figures("sandbox", FIGURES, Console(file=out, width=130))
    rows = {line.split("│")[1].strip(): line for line in out.getvalue().splitlines() if "│" in line}
    assert "MISSED" in rows["vs_nothing"]
    assert "1.5" in rows["vs_nothing"]
    assert "ok" in rows["lost"]


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--soak", "9"]])
def test_a_bench_of_nothing_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sandbox", "bench", *words]) == 2
    assert "--rounds must be at least 1" in capsys.readouterr().err
