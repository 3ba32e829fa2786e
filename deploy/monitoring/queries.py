"""Query: an expression of Prometheus about a defined metric, narrowed to what a page shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from actors.runs.definitions.registry import BY_NAME

NODE_FILTER = 'SessionName=~"$SessionName",ray_io_cluster=~"$Cluster"'
"""What Ray's own dashboards filter by. `ray_io_cluster` is KubeRay's label, absent elsewhere."""
RUN_FILTER = f'run=~"$run",{NODE_FILTER}'

_NAME = re.compile(r"\bray_[a-z]\w*")


@dataclass(frozen=True)
class Query:
    """One line, or family of lines, of a panel."""

    expr: str
    """In PromQL."""
    legend: str
    """Names its lines; `{{label}}` stands for a label's value."""
    needs: str = ""
    """What must be true of a run for the query to have data; empty where every run has it."""

    @property
    def names(self) -> set[str]:
        """The metrics that it reads."""
        return metric_names(self.expr)


def metric_names(expr: str) -> set[str]:
    """The metrics that an expression reads, by the names that Ray exports."""
    return set(_NAME.findall(expr)) - {"ray_io_cluster"}


def figure(name: str, labels: str = "") -> str:
    """The selector of a figure by its name in `actors.runs.definitions`.

    Raises:
        KeyError: nothing defines it.
    """
    return f"{BY_NAME[name].prometheus_name}{{{labels}{',' if labels else ''}{RUN_FILTER}}}"


def run_query(name: str, legend: str = "{{run}}", needs: str = "", labels: str = "") -> Query:
    """A figure as it is."""
    return Query(figure(name, labels), legend, needs)


def node_query(expr: str, legend: str, needs: str = "") -> Query:
    """An expression over Ray's metrics of nodes; `F` is the filter."""
    return Query(expr.replace("{F}", f"{{{NODE_FILTER}}}"), legend, needs)
