"""Each sink with its real client library, offline; without the library the test says how to get it.

What was written is read back by the library's own reader.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from actors.runs.folder import RunFolder
from actors.runs.metrics import MetricsLog
from actors.runs.sinks.registry import missing_libraries
from deploy.checks.sinks import check_sinks
from deploy.errors import ConfigError

CONFIG = {"seed": 3, "learner.mask": "fgo", "rollout.stop": []}
SAMPLES = [
    {"problem": "p/1", "stage": -1, "completion": "return 1\n", "reward": 1.0},
    {"problem": "p/1", "stage": -1, "completion": "return \N{SNOWMAN}", "reward": None},
]


def needs(sink: str) -> None:
    for library in missing_libraries([sink]).values():
        pytest.skip(f"{library} is not installed: deploy/install/install.sh sinks")


def logged(root: Path, sink: str, steps: range = range(1, 4)) -> list[int]:
    """Log some steps, an evaluation, samples and a policy; what each sink did not receive."""
    folder = RunFolder(root)
    root.mkdir(exist_ok=True)
    folder.policy.mkdir(exist_ok=True)
    (folder.policy / "config.json").write_text("{}")
    log = MetricsLog(folder, "tiny", [sink], CONFIG)
    for step in steps:
        log.write(step, {"reward": step / 2, "pass_rate/tier/interview": 0.5}, {"trained": 4})
    log.write_evaluation(steps[-1], "humaneval+", {"eval/humaneval+/pass_at_1/overall": 0.25}, {})
    log.write_samples(steps[-1], SAMPLES)
    log.add_policy()
    log.close()
    return [delivery.lost for delivery in log._sinks]


def test_tensorboard_holds_every_figure(tmp_path: Path) -> None:
    assert logged(tmp_path / "run", "tensorboard") == [0]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("reward")
    assert [(scalar.step, scalar.value) for scalar in scalars] == [(1, 0.5), (2, 1.0), (3, 1.5)]


def test_wandb_offline_holds_figures_configuration_samples_and_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert logged(tmp_path / "run", "wandb") == [0]
    assert logged(tmp_path / "run", "wandb", range(4, 5)) == [0], "a resumed run"
    made = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert len({path.name.rpartition("-")[2] for path in made}) == 1, "both are one run in W&B"
    rows, facts = read_wandb(next(made[0].glob("*.wandb")))
    assert [row["reward"] for row in rows if "reward" in row] == [0.5, 1.0, 1.5]
    assert {"seed", "learner.mask"} <= facts["config"]
    assert facts["artifacts"] >= {"model"}
    assert any(key.startswith("samples") for row in rows for key in row)


def read_wandb(path: Path) -> tuple[list[dict[str, Any]], dict[str, set[str]]]:
    """History rows, and the names in configuration and artefacts, of an offline run's file."""
    Record: Any = import_module("wandb.proto.wandb_internal_pb2").Record  # noqa: N806
    rows: list[dict[str, Any]] = []
    facts: dict[str, set[str]] = {"config": set(), "artifacts": set()}
    for data in leveldb_records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = record.history.item
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
        if record.HasField("run"):
            facts["config"] |= {item.key for item in record.run.config.update}
        if record.HasField("request") and record.request.HasField("log_artifact"):
            facts["artifacts"].add(record.request.log_artifact.artifact.type)
        if record.HasField("artifact"):
            facts["artifacts"].add(record.artifact.type)
    return rows, facts


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format, after W&B's header of 7 bytes."""
    whole, last, block = 1, 4, 32768
    at, parts = 7, b""
    while at + 7 <= len(data):
        left = block - at % block
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (whole, last):
            yield parts
            parts = b""


def test_mlflow_files_hold_figures_configuration_samples_and_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert logged(tmp_path / "run", "mlflow") == [0]
    assert logged(tmp_path / "run", "mlflow", range(4, 5)) == [0], "a resumed run"
    client = import_module("mlflow.tracking").MlflowClient((tmp_path / "run" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("stepcoder")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.params["learner.mask"] == "fgo"
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "reward")
    assert [(metric.step, metric.value) for metric in history] == [
        (1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0),
    ]  # fmt: skip
    assert run.data.metrics["eval/humaneval_/pass_at_1/overall"] == 0.25
    names = {artefact.path for artefact in client.list_artifacts(run.info.run_id)}
    assert names == {"samples", "policy"}


def test_trackio_holds_figures_configuration_samples_and_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    assert logged(tmp_path / "run", "trackio") == [0]
    trackio = import_module("trackio")
    [run] = trackio.Api().runs("stepcoder")
    assert run.name == "tiny"
    assert run.config["learner.mask"] == "fgo"
    logs = trackio.SQLiteStorage.get_logs("stepcoder", "tiny")
    assert [(row["step"], row["reward"]) for row in logs if "reward" in row] == [
        (1, 0.5), (2, 1.0), (3, 1.5),
    ]  # fmt: skip
    assert any("samples" in row for row in logs)
    assert [artefact["name"] for artefact in trackio.SQLiteStorage.get_artifacts("stepcoder")] == [
        "policy"
    ]


def test_a_sink_without_its_library_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "actors.runs.sinks.registry.find_spec",
        lambda name: None if name in ("wandb", "mlflow") else find_spec(name),
    )
    check_sinks(["tensorboard"])
    with pytest.raises(
        ConfigError, match=r"loop.sinks: wandb, mlflow: .*pip install wandb mlflow-skinny"
    ):
        check_sinks(["tensorboard", "wandb", "mlflow"])
