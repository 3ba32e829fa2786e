"""Ablations: a grid of runs that differ by one switch each, and what their results say."""
