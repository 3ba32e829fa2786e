"""Canonical solutions run against their own tests in the sandbox."""
