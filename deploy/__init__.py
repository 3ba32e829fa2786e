"""How it is started: the command line, run configuration, profiles, the local cluster."""
