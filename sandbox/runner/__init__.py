"""What runs on the other side: a fork server of the standard library only, Python 3.11 or newer.

It is copied to where it runs (a container, or a process of its own) and started with `COMMAND`.
`values` and `statements` are pure and used on the host as well.
"""

COMMAND = (
    "import sys; sys.path.insert(0, sys.argv[1]); from runner import memory; memory.align(); "
    "from runner.server import main; main()"
)
"""For `python -c`; its arguments: the folder that holds `runner/`, then what `main` is told."""
