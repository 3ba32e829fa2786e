"""Commands on runs that exist: their results, reports and comparisons."""
