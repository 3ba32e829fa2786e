"""The dashboard: panels of metrics that exist, and every query answered in a live run."""

from __future__ import annotations

import json

import pytest

from actors.runs.definitions.registry import METRICS
from deploy.monitoring.alerts import ALERTS
from deploy.monitoring.panels import GAE, REFERENCE, ROWS
from deploy.monitoring.write import FOLDER
from tests.deploy.local_run import Cluster
from tests.deploy.monitoring.prometheus_server import REMEDY

DASHBOARD = json.loads((FOLDER / "grafana" / "stepcoder.json").read_text())
QUERIES = [query for panels in ROWS.values() for panel in panels for query in panel.queries]
TRUE_OF_THE_SMALL_RUN = ("", GAE, REFERENCE)


def test_every_query_about_a_run_reads_a_metric_that_is_defined() -> None:
    known = {metric.prometheus_name for metric in METRICS if metric.in_prometheus}
    for query in QUERIES:
        own = {name for name in query.names if name.startswith("ray_stepcoder_")}
        assert own <= known, query
        assert query.names, query


def test_rows_hold_their_panels_as_timeseries() -> None:
    panels = DASHBOARD["panels"]
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == list(ROWS)
    assert {panel["type"] for panel in panels} == {"row", "timeseries"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels if panel["type"] != "row"]
    assert titles == [panel.title for panels in ROWS.values() for panel in panels]
    exprs = [t["expr"] for panel in panels for t in panel.get("targets", [])]
    assert exprs == [query.expr for query in QUERIES]


def test_rays_variables_filter_every_query() -> None:
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "SessionName", "Cluster", "run"]
    for query in QUERIES:
        assert 'SessionName=~"$SessionName"' in query.expr
        assert ("ray_stepcoder_" not in query.expr) or 'run=~"$run"' in query.expr


def without_variables(expr: str) -> str:
    for name, value in (("run", ".*"), ("SessionName", ".*"), ("Cluster", ".*"),
                        ("__rate_interval", "1m")):  # fmt: skip
        expr = expr.replace(f"${name}", value)
    return expr


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_live_run_answers_every_query_of_panels_and_alerts(local_cluster: Cluster) -> None:
    assert local_cluster.status == 0, local_cluster.output
    if local_cluster.prometheus is None:
        pytest.skip(REMEDY)
    asked = [(query.expr, query.needs) for query in QUERIES]
    asked += [(alert.value, alert.needs) for alert in ALERTS]
    silent = [
        expr
        for expr, needs in asked
        if needs in TRUE_OF_THE_SMALL_RUN
        and not local_cluster.prometheus.query(without_variables(expr), local_cluster.watched_at)
    ]
    assert not silent, "\n".join(silent)
    assert len(asked) > 40, "most queries are of every run"
