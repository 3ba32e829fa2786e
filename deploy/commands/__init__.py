"""The commands of `stepcoder`, one module each; `deploy.cli` loads a module when its command runs.

A module holds `app`, a cyclopts `App` that carries the examples of its `--help`, and a function
whose signature is the command line and whose result is the exit status.
"""
