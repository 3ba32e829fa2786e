"""Every figure of a run, defined once: its name, unit, type and meaning.

From these definitions come Ray's metrics, the metrics page of the documentation, the Prometheus
rules and the Grafana dashboard.
"""
