"""Prometheus rules and a Grafana dashboard, made from the definitions of the metrics.

`make monitoring` writes both into `deploy/monitoring/`, where a test compares them.
"""
