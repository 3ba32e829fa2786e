"""Rewards: of the outcome, shipped terms, and a function of the user's."""
