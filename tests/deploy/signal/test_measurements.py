"""Measurements of the gradient's signal: parts of the groups, places, files, page and picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.ablation.stored import Machine
from deploy.cli import main
from deploy.errors import ConfigError
from deploy.report.signal.tables import sentences
from deploy.signal.positions import Positions, positions
from deploy.signal.recorded import RecordedGroup
from deploy.signal.stored import (
    StoredEstimate,
    StoredMask,
    StoredPart,
    StoredSignal,
    read_signals,
)
from deploy.signal.strata import strata
from learner.config import LearnerConfig
from tests.deploy.signal.test_gradients import record, sample

ROOT = Path(__file__).resolve().parents[3]


def group(tier: str, unexecuted: int, outcome: str = "failed") -> RecordedGroup:
    """A group of one response of ten tokens."""
    mask = "1" * (10 - unexecuted) + "0" * unexecuted
    made = sample(0, list(range(10)), [1.0] * 10, executed_mask=mask, outcome=outcome)
    return RecordedGroup(record(made, tier=tier))


def test_groups_are_parted_by_tier_and_by_thirds_of_what_they_are_like() -> None:
    outcomes = ["passed", "failed", "runtime_error"]
    groups = [
        group("interview" if n < 55 else "competition", n % 10, outcomes[n % 3]) for n in range(60)
    ]
    found = {(part.factor, part.level): part for part in strata(groups)}
    assert ("tier", "competition") not in found, "5 groups are too few"
    assert found["tier", "interview"].groups == tuple(range(55))
    low = found["tokens not executed", "lowest third"]
    high = found["tokens not executed", "highest third"]
    assert low.mean == pytest.approx(0.1)
    assert {n % 10 for n in low.groups} == {0, 1, 2}
    assert {n % 10 for n in high.groups} == {6, 7, 8, 9}
    raised = found["programs that raised", "highest third"]
    assert raised.mean == 1
    assert raised.groups == tuple(range(2, 60, 3))


def test_the_push_of_a_mask_is_told_by_place() -> None:
    """A failed response whose last two tokens never ran, beside a passed one that ran whole."""
    failed = sample(0, [5] * 10, [-1.0] * 10, executed_mask="1" * 8 + "00")
    passed = sample(1, [6] * 10, [1.0] * 10, outcome="passed")
    passed["learner"]["entropies"] = [0.5] * 10
    groups = [RecordedGroup(record(failed, passed))]
    found = positions(groups, LearnerConfig(), ("fgo", "none"))
    assert found.learned_share == {"fgo": [1, 1, 1, 1, 0.5], "none": [1] * 5}
    assert found.advantage == {"fgo": [0, 0, 0, 0, 0.5], "none": [0] * 5}
    assert found.entropy == {"passed": [0.5] * 5, "not passed": [1.0] * 5}


def measured(name: str, low: float, high: float) -> StoredSignal:
    ratio = StoredEstimate(value=0.04, low=0.02, high=0.06)
    difference = StoredEstimate(value=(low + high) / 2, low=low, high=high)
    masks = {
        "fgo": StoredMask(ratio=ratio, difference=difference, agreement=ratio),
        "none": StoredMask(ratio=ratio, difference=None, agreement=None),
    }
    places = Positions(
        learned_share={"fgo": [1.0] * 5},
        advantage={"fgo": [0.1] * 5},
        entropy={"passed": [1.0] * 5},
    )
    return StoredSignal(
        name=name, run="r", checkpoint="step-000015", steps=1, baseline="none", curriculum="cccs",
        advantage="gae", lr=0.0, samples=80, shares={"tokens not executed": 0.25},
        parts=[StoredPart(factor="all", level="all", mean=None, groups=10, masks=masks)],
        positions=places, date="2026-11-28", machine=Machine(processor="p", cores=2),
    )  # fmt: skip


def test_the_same_files_make_the_same_page_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "signal"
    folder.mkdir()
    for name, low, high in (("b", 0.01, 0.03), ("a", -0.03, -0.01), ("c", -0.01, 0.01)):
        measured(name, low, high).write(folder / f"{name}.json")
    written = []
    for number in (1, 2):
        page, picture = tmp_path / f"{number}.md", tmp_path / "picture.svg"
        files = ("--markdown", str(page), "--picture", str(picture))
        assert main(["signal", "report", str(folder), *files]) == 0
        written.append((page.read_text().replace(f"{number}.md", ""), picture.read_bytes()))
    assert written[0] == written[1]
    assert "![change of the signal-to-noise ratio by each mask](picture.svg)" in written[0][0]
    assert "higher than with none beyond noise in 1, lower in 1 of 3" in capsys.readouterr().out
    assert [signal.name for signal in read_signals([folder])] == ["a", "b", "c"]


def test_files_that_are_no_measurements_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"version": 1}')
    with pytest.raises(ConfigError, match=r"other.json: not a measurement of `stepcoder signal"):
        read_signals([other])
    with pytest.raises(ConfigError, match=r"gone.json: No such file"):
        read_signals([tmp_path / "gone.json"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"no measurements: `stepcoder signal RUN --json FILE`"):
        read_signals([empty])


def test_the_page_of_the_docs_is_made_of_the_stored_measurements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docs/signal.md` is never edited: the command writes it, from `docs/signal`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "images").mkdir(parents=True)
    (tmp_path / "docs" / "signal").symlink_to(ROOT / "docs" / "signal")
    command = ["signal", "report", "docs/signal", "--markdown", "docs/signal.md"]
    assert main([*command, "--picture", "docs/images/signal.svg"]) == 0
    for name in ("signal.md", "images/signal.svg"):
        assert (tmp_path / "docs" / name).read_bytes() == (ROOT / "docs" / name).read_bytes(), name


def test_what_is_said_counts_measurements_beyond_noise() -> None:
    [sentence] = sentences([measured("a", 0.01, 0.03), measured("b", -0.01, 0.01)])
    assert "in 1, lower in 0 of 2 measurements" in sentence
