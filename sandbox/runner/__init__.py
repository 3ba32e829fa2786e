"""The fork server that runs programs: standard library only, Python 3.11 or newer.

It is copied to where it runs (a container, or a process of its own) and started with `COMMAND`.
`values`, `statements` and `wire` are pure and used on the host as well.
"""

COMMAND = (
    "import sys; sys.path.insert(0, sys.argv[1]); from runner import memory; memory.align(); "
    "from runner.server import main; main()"
)
"""For `python -c`; its arguments: the folder that holds `runner/`, then the settings of `main`.

`memory.align` comes before every other import: what is imported later lies behind the boundary."""
