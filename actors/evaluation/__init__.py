"""Evaluation of a model on suites of problems: samples, verdicts, and figures with intervals."""
