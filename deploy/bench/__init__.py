"""Benchmarks: a module per package, and the record that all of them write."""
