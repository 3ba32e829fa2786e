"""Benchmark of the learner against other trainers."""
