"""Published data sets, each in the form it comes in, as `Problem`s: see `sources.catalogue`."""
