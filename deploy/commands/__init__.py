"""One module per command of the `stepcoder` command line."""
