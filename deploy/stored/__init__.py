"""Runs in an object store: reached within a deadline, and fetched for the commands that read."""
