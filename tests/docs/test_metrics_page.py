"""The metrics reference of the site has every figure, and the guide links to it."""

from __future__ import annotations

from actors.runs.definitions.registry import METRICS
from docs.hooks import metrics_reference
from tests.docs.commands import ROOT


def test_the_page_has_a_row_for_every_figure() -> None:
    rows = [line for line in metrics_reference().splitlines() if line.startswith("| ")]
    for metric in METRICS:
        texts = [f"`{metric.name}`"] if metric.in_rows else []
        texts += [f"`{metric.prometheus_name}`"] if metric.in_prometheus else []
        cell = metric.help.replace("|", "\\|")
        assert any(
            all(text in row for text in texts) and row.endswith(f"| {cell} |") for row in rows
        ), metric.name


def test_the_guide_links_to_the_page() -> None:
    assert "(metrics.md)" in (ROOT / "docs" / "monitoring.md").read_text()
    assert "metrics.md" in (ROOT / "mkdocs.yml").read_text()
