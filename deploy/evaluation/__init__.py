"""`stepcoder eval`: a model, or samples in a file, on suites of problems."""
