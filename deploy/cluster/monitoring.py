"""What Prometheus and Grafana need to watch a local cluster, in its temporary folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from curriculum.files import write_atomic
from deploy.versions import ROOT

_SOURCE = ROOT / "deploy" / "monitoring"
_GRAFANA_HOME = "/usr/share/grafana"
"""Where Grafana's packages put what its server serves."""


def write_monitoring(temp_dir: Path) -> dict[str, str]:
    """Write Prometheus' configuration and the dashboard; the variables that Ray's head then needs.

    Ray provisions Grafana with its own dashboards (`grafana.ini` in its session); with the
    variables it does so from the folder that holds ours.

    Args:
        temp_dir: of the cluster, before its head is started.
    """
    tree = yaml.safe_load((_SOURCE / "prometheus" / "prometheus.yaml").read_text())
    discovery = str(temp_dir / "prom_metrics_service_discovery.json")
    tree["scrape_configs"][0]["file_sd_configs"] = [{"files": [discovery]}]
    tree["rule_files"] = [str(_SOURCE / "prometheus" / "rules.yaml")]
    dashboards = temp_dir / "dashboards"
    dashboards.mkdir(parents=True, exist_ok=True)
    write_atomic(temp_dir / "prometheus.yaml", yaml.safe_dump(tree, sort_keys=False))
    dashboard = (_SOURCE / "grafana" / "stepcoder.json").read_text()
    write_atomic(dashboards / "stepcoder.json", dashboard)
    return {"RAY_METRICS_GRAFANA_DASHBOARD_OUTPUT_DIR": str(dashboards)}


def monitoring_lines(temp_dir: Path) -> dict[str, str]:
    """The command that starts each program that is installed here, by the program's name."""
    ini = temp_dir / "session_latest" / "metrics" / "grafana" / "grafana.ini"
    commands = {
        "prometheus": f"--config.file={temp_dir / 'prometheus.yaml'} "
        f"--storage.tsdb.path={temp_dir / 'prometheus'}",
        "grafana-server": f"--homepath {_GRAFANA_HOME} --config {ini}",
    }
    return {
        name: f"{path} {arguments}"
        for name, arguments in commands.items()
        if (path := shutil.which(name)) is not None
    }
