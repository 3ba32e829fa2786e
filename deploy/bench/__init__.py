"""Benchmarks: a folder per package, and the record that all of them write."""
