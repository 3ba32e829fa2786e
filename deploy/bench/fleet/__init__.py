"""Benchmark of the orchestration."""
