"""A short run whose parts are killed, beside an undisturbed one; what a reference must be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.chaos.monkey import Plan
from deploy.chaos.run import chaos, read_reference
from deploy.config import RunConfig
from deploy.errors import ConfigError
from tests.deploy.local_run import SMALL, STEPS, stepcoder


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="--kinds disk: choose from rollout, engine"):
        chaos(RunConfig(), Plan(1.0, ("rollout", "disk"), seed=1), 60)


def test_a_reference_is_a_finished_run_of_the_same_figures(tmp_path: Path) -> None:
    config = RunConfig()
    (tmp_path / "config.yaml").write_text(config.model_copy(update={"name": "other"}).to_yaml())
    with pytest.raises(ConfigError, match=r"no finished run there"):
        read_reference(tmp_path, config)
    result = {"samples": {"trained": 8}, "seconds": {"total": 12.0}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "pass_rate": 0.5}\n')
    reference = read_reference(tmp_path, config)
    assert reference.rows == [{"step": 1, "pass_rate": 0.5}]
    assert reference.samples == {"trained": 8}
    assert reference.seconds == 12.0
    pool = config.pool.model_copy(update={"workers": 5})
    assert read_reference(tmp_path, config.model_copy(update={"pool": pool})) == reference
    with pytest.raises(ConfigError, match="it differs at seed"):
        read_reference(tmp_path, config.model_copy(update={"seed": 9}))


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_run_whose_parts_are_killed_repeats_the_undisturbed_run(
    undisturbed: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").symlink_to(undisturbed.parent / "cache")  # the same warm start
    process = stepcoder(
        "chaos", "--config", str(SMALL), "--reference", str(undisturbed),
        "--every", "1", "--kills", "5", "--kill-seed", "7",
        "--kinds", "rollout,engine,collector,sandbox,container,learner,node", "--limit", "600",
        "--runs_dir", str(tmp_path), "--weights.timeout_s", "30",
        "--rollout.workers", "2", "--pool.workers", "2", "--pool.slots_per_worker", "1",
    )  # fmt: skip
    output, _ = process.communicate(timeout=800)
    assert process.returncode == 0, output
    record = json.loads((tmp_path / "small-chaos" / "chaos.json").read_text())
    assert record["failures"] == []
    assert sum(record["kills"].values()) >= 3
    assert record["kills"]["collector"] >= 1
    assert record["repeatable"]
    assert record["equal_steps"] == STEPS
    assert record["samples"]["trained"] + record["samples"]["dropped"] == STEPS * 16
