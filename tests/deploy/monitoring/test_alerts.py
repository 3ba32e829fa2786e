"""The alert rules: valid, about metrics that exist, firing when they should and only then."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml

from actors.runs.definitions.registry import METRICS
from deploy.monitoring.alerts import ALERTS, rules_yaml
from deploy.monitoring.queries import metric_names
from deploy.monitoring.write import FILES, FOLDER
from tests.deploy.local_run import Cluster
from tests.deploy.monitoring.prometheus_server import REMEDY, promtool

RULES = FOLDER / "prometheus" / "rules.yaml"
ASKED = 'ray_stepcoder_samples_total{run="r",fate="asked"}'
SERIES = {
    "LogProbMismatch": (
        {'ray_stepcoder_learner_rollout_trainer_logprob_diff_p99{run="r"}': "0.9x90"},
        {'ray_stepcoder_learner_rollout_trainer_logprob_diff_p99{run="r"}': "0.1x90"},
    ),
    "NoProgress": (
        {'ray_stepcoder_step_time{run="r"}': "0x90"},
        {'ray_stepcoder_step_time{run="r"}': "0+60x90"},
    ),
    "SandboxErrors": (
        {ASKED: "0+100x90",
         'ray_stepcoder_samples_total{run="r",fate="dropped/infra_error"}': "0+10x90"},
        {ASKED: "0+100x90",
         'ray_stepcoder_samples_total{run="r",fate="dropped/infra_error"}': "0+1x90"},
    ),
    "DroppedSamples": (
        {ASKED: "0+100x90", 'ray_stepcoder_samples_total{run="r",fate="dropped"}': "0+30x90"},
        {ASKED: "0+100x90"},
    ),
    "StaleSamples": (
        {'ray_stepcoder_learner_importance_capped_share{run="r"}': "0.3x90"},
        {'ray_stepcoder_learner_importance_capped_share{run="r"}': "0.01x90"},
    ),
    "Restarts": (
        {'ray_stepcoder_restarts{run="r",role="rollout"}': "0+1x90"},
        {'ray_stepcoder_restarts{run="r",role="rollout"}': "7x90"},
    ),
    "Saturated": (
        {'ray_stepcoder_processor{run="r",role="driver"}': "0.9x90"},
        {'ray_stepcoder_processor{run="r",role="driver"}': "0.3x90"},
    ),
    "DiskFull": (
        {'ray_stepcoder_disk_free{run="r"}': "4x90", 'ray_stepcoder_disk_total{run="r"}': "100x90"},
        {'ray_stepcoder_disk_free{run="r"}': "9x90", 'ray_stepcoder_disk_total{run="r"}': "100x90"},
    ),
}  # fmt: skip
"""Series, a value each minute: with the first ones an alert fires, with the second ones it does
not."""
ROLES = {"Restarts": {"role": "rollout"}, "Saturated": {"role": "driver"}}
"""Labels of an alert beside the run's."""


@pytest.fixture
def needs_promtool() -> None:
    if shutil.which("promtool") is None:
        pytest.skip(REMEDY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_committed_file_is_the_one_that_is_made(path: Path) -> None:
    assert path.read_text() == FILES[path](), "run `make monitoring`"


def test_alerts_read_metrics_that_exist() -> None:
    known = {metric.prometheus_name for metric in METRICS if metric.in_prometheus}
    for alert in ALERTS:
        assert metric_names(alert.expr) <= known, alert.name
        assert metric_names(alert.expr)


def test_each_alert_has_its_place_on_the_page_of_operation() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "operating.md").read_text()
    for alert in ALERTS:
        assert f"`StepCoder{alert.name}`" in page


@pytest.mark.usefixtures("needs_promtool")
def test_promtool_finds_nothing_wrong_with_rules_and_configuration() -> None:
    promtool("check", "rules", str(RULES))
    promtool("check", "config", "--syntax-only", str(RULES.with_name("prometheus.yaml")))


@pytest.mark.usefixtures("needs_promtool")
@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_fires_when_it_should_and_only_then(fires: bool, tmp_path: Path) -> None:
    assert set(SERIES) == {alert.name for alert in ALERTS}
    rules = yaml.safe_load(rules_yaml())
    # Texts are another matter: what is tested is which alerts fire.
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    cases = []
    for alert in ALERTS:
        series = SERIES[alert.name][0 if fires else 1]
        labels = {"severity": alert.severity, "run": "r"}
        labels |= ROLES.get(alert.name, {})
        expected = [{"exp_labels": labels}] if fires else []
        cases.append(
            {
                "interval": "1m",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": "80m",
                        "alertname": f"StepCoder{alert.name}",
                        "exp_alerts": expected,
                    }
                ],
            }
        )
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(tmp_path / "tests.yaml"))


@pytest.mark.usefixtures("needs_promtool")
@pytest.mark.parametrize("name", ["SandboxErrors", "DroppedSamples"])
def test_a_share_of_no_samples_has_a_value_and_raises_no_alert(name: str, tmp_path: Path) -> None:
    [alert] = [alert for alert in ALERTS if alert.name == name]
    at_80m = [
        {"expr": f"count({alert.value})", "exp_samples": [{"labels": "{}", "value": 1}]},
        {"expr": alert.expr, "exp_samples": []},
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": ASKED, "values": "100x90"}],
        "promql_expr_test": [test | {"eval_time": "80m"} for test in at_80m],
    }
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"tests": [case]}))
    promtool("test", "rules", str(tmp_path / "tests.yaml"))


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_an_alert_fires_in_a_live_run_that_fails_and_not_in_one_that_does_not(
    local_cluster: Cluster,
) -> None:
    assert local_cluster.status == 0, local_cluster.output
    prometheus = local_cluster.prometheus
    if prometheus is None:
        pytest.skip(REMEDY)
    expected = {"DroppedSamples"}
    assert not expected & prometheus.firing("small", local_cluster.watched_at)
    function = "tests.deploy.monitoring.failing_reward:on_even_samples"
    process = local_cluster.up(
        "--name", "failing", "--loop.steps", "200", "--loop.checkpoint_every", "0",
        "--loop.eval_samples", "1", "--rollout.max_new_tokens", "24",
        "--reward.function", function, "--reward.function_errors", "drop",
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if expected <= prometheus.firing("failing", time.time()):
                return
            time.sleep(1)
        raise AssertionError(f"no alert fired; status {process.poll()}")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
