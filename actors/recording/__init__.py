"""Recorded rollouts: which groups, their files, and the process that writes them."""
