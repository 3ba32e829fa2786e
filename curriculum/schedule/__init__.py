"""Schedules: which problem is asked next, and how much of its solution is given."""
