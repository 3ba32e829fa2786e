"""The Grafana dashboard, built by Grafana's own builders."""

from __future__ import annotations

import itertools
from typing import Any

from grafana_foundation_sdk.builders.common import StackingConfig as Stacking
from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

from actors.runs.definitions.registry import BY_NAME
from deploy.monitoring.panels import ROWS, PanelSpec

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH, _HEIGHT = 8, 8
"""Of a panel; a row is 24 wide."""


def dashboard_json() -> str:
    """The dashboard as Grafana imports it."""
    dashboard = (
        Dashboard("StepCoder")
        .uid("stepcoder")
        .description("Made by `make monitoring` from deploy/monitoring/panels.py; do not edit.")
        .tags(["stepcoder", "ray"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    for variable in _variables():
        dashboard = dashboard.with_variable(variable)
    ids = itertools.count(1)
    for title, panels in ROWS.items():
        dashboard = dashboard.with_row(Row(title).id(next(ids)))
        for spec in panels:
            dashboard = dashboard.with_panel(_panel(spec).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard.build()) + "\n"


def _variables() -> list[Any]:
    """Ray's own: data source, session, cluster; and the run."""
    step = BY_NAME["step"].prometheus_name

    def query(name: str, label: str, text: str) -> Any:
        return (
            QueryVariable(name).label(label).datasource(_SOURCE).query(text)
            .include_all(True).all_value(".*").multi(True)
        )  # fmt: skip

    return [
        DatasourceVariable("datasource").label("Data source").type("prometheus"),
        query("SessionName", "Ray session", "label_values(ray_node_cpu_utilization, SessionName)"),
        query("Cluster", "Ray cluster", "label_values(ray_node_cpu_utilization, ray_io_cluster)"),
        query("run", "Run", f"label_values({step}, run)"),
    ]


def _panel(spec: PanelSpec) -> Panel:
    panel = (
        Panel()
        .title(spec.title)
        .description(spec.description)
        .datasource(_SOURCE)
        .unit(spec.unit)
        .span(_WIDTH)
        .height(_HEIGHT)
        .fill_opacity(30 if spec.stacked else 0)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if spec.stacked:
        panel = panel.stacking(Stacking().mode(StackingMode.NORMAL).group("A"))
    for number, query in enumerate(spec.queries):
        target = Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(65 + number))
        panel = panel.with_target(target)
    return panel
