"""A part of the check ends in time and says what became of it, whatever happens in it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deploy.machine.check import PARTS, write_check
from deploy.machine.learning import update_flops
from deploy.machine.part import Part, PartResult, Scale, run_part
from deploy.report.check_table import print_check
from tests.deploy.machine import sample_parts


def result(name: str, folder: Path, limit_s: float = 60) -> PartResult:
    part = Part(name, f"what {name} is", getattr(sample_parts, name), limit_s, "read the manual")
    return run_part(part, Scale(0, True, folder, steps=3), left_s=60)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("misses", "failed", ""),
        ("raises", "failed", "RuntimeError: CUDA error: an illegal access (details: "),
        ("needs_more", "skipped", "it needs two GPUs"),
        ("dies", "failed", "its process ended with status 11"),
    ],
)
def test_a_part_that_does_not_pass_says_why(
    tmp_path: Path, name: str, status: str, reason: str
) -> None:
    found = result(name, tmp_path)
    assert found.status == status
    assert found.reason.startswith(reason)


def test_a_part_that_hangs_ends_at_its_deadline(tmp_path: Path) -> None:
    found = result("hangs", tmp_path, limit_s=3)
    assert found.status == "failed"
    assert found.reason.startswith("it did not end within 3 s")
    assert found.seconds < 30


def test_a_part_is_left_out_when_no_time_is_left(tmp_path: Path) -> None:
    part = Part("passes", "", sample_parts.passes, 60, "")
    found = run_part(part, Scale(0, True, tmp_path), left_s=0.5)
    assert (found.status, found.reason) == ("skipped", "no time was left (--limit)")


def test_results_are_a_table_with_remedies_and_a_file(tmp_path: Path) -> None:
    results = [result("passes", tmp_path), result("misses", tmp_path)]
    assert "said to the log" in (tmp_path / "passes.log").read_text()
    output = io.StringIO()
    print_check(results, Console(file=output, width=120))
    text = output.getvalue()
    for word in ("what passes is", "<= 0.5", "ok", "FAILED", "nan nats", "set dtype float32"):
        assert word in text
    write_check(results, tmp_path / "check.json")
    record = json.loads((tmp_path / "check.json").read_text())
    assert not record["passed"]
    assert [part["status"] for part in record["parts"]] == ["passed", "failed"]
    assert record["parts"][0]["figures"][0]["value"] == 3


def test_every_part_has_a_deadline_within_ten_minutes_and_a_remedy() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    for part in PARTS:
        assert part.limit_s <= 600
        assert part.remedy


def test_the_work_of_an_update_is_the_published_formula_and_prompts_have_no_logits() -> None:
    """PaLM's 6 N + 12 L H Q T, with causal attention over half of the sequence."""
    attention = 12 * 2 * 8 * (32 / 2)
    assert update_flops(90, 40, 10, 10, 2, 8, 32) == 10 * (6 * (90 + 40) + attention)
    assert update_flops(90, 40, 10, 4, 2, 8, 32) == 10 * (6 * 90 + attention) + 4 * 6 * 40
