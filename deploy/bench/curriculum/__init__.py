"""Benchmark of loading, cutting and observing."""
