"""Verification of data sets: canonical solutions run on their own tests in sandboxes."""
