"""Prompts: what a problem says of itself, templates, and the token ids that a policy continues."""
