"""What a local cluster lays out for Prometheus and Grafana."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from deploy.cluster.monitoring import monitoring_lines, write_monitoring
from tests.deploy.monitoring.prometheus_server import REMEDY, promtool


def test_prometheus_reads_the_clusters_own_discovery_file_and_our_rules(tmp_path: Path) -> None:
    variables = write_monitoring(tmp_path)
    (dashboards,) = variables.values()
    dashboard = json.loads((Path(dashboards) / "stepcoder.json").read_text())
    assert dashboard["title"] == "StepCoder"
    config = tmp_path / "prometheus.yaml"
    assert f"{tmp_path}/prom_metrics_service_discovery.json" in config.read_text()
    if shutil.which("promtool") is None:
        pytest.skip(REMEDY)
    (tmp_path / "prom_metrics_service_discovery.json").write_text("[]")
    assert "rules found" in promtool("check", "config", str(config))


def test_what_is_installed_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert monitoring_lines(tmp_path) == {}
    grafana = tmp_path / "grafana-server"
    grafana.touch(mode=0o755)
    (command,) = monitoring_lines(tmp_path).values()
    assert command.startswith(f"{grafana} --homepath /usr/share/grafana --config {tmp_path}/")
