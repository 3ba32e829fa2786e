"""Container labels that name the owner process, so that a container outliving it is recognised."""

import os
from functools import cache
from pathlib import Path

RUN_LABEL = "stepcoder.sandbox.run"
SLOT_LABEL = "stepcoder.sandbox.slot"
OWNER_LABEL = "stepcoder.sandbox.owner"


def labels(run: str, slot: int) -> dict[str, str]:
    """The labels of a container that this process starts for slot `slot` of the run `run`."""
    return {
        RUN_LABEL: run,
        SLOT_LABEL: str(slot),
        OWNER_LABEL: f"{_machine()} {_life(os.getpid())}",
    }


def is_gone(owner: str) -> bool:
    """Whether the label `owner` names a process of this machine that has ended."""
    machine, _, life = owner.rpartition(" ")
    if machine != _machine():
        return False  # of another machine or namespace: its processes cannot be seen from here
    return _life(int(life.partition(".")[0])) != life


@cache
def _machine() -> str:
    """Identifies this boot of this machine and this process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _life(process: int) -> str | None:
    """A process's number and start time, since numbers are reused; None if it has ended."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{process}.{fields[19]}"
