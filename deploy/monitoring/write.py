"""Writing the files that Prometheus and Grafana load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curriculum.files import write_atomic
from deploy.monitoring.alerts import rules_yaml
from deploy.monitoring.dashboard import dashboard_json

FOLDER = Path(__file__).parent
FILES: dict[Path, Callable[[], str]] = {
    FOLDER / "prometheus" / "rules.yaml": rules_yaml,
    FOLDER / "grafana" / "stepcoder.json": dashboard_json,
}
"""Each file, and what makes its content."""


def write_all() -> list[Path]:
    """Write every file; returns their paths."""
    for path, make in FILES.items():
        write_atomic(path, make())
    return list(FILES)
