"""The charts of a report, by subject, as plain data."""
