"""Benchmark of speed, attacks, coverage and endurance of the sandbox."""
