"""CPU threads for a command that computes in its own process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""The control group's bound on processor time: microseconds, `max` for none, then the period."""


def use_free_cores() -> int:
    """Have torch compute on the cores that nobody uses now; returns how many.

    Threads that wait for one without a core cost far more than they bring, and they must not spin.
    `OMP_NUM_THREADS`, which torchrun sets too, decides where it is given.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdecimal() and int(given) else free_cores()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    return threads


def free_cores(over_s: float = 0.5, cpu_max: Path = _CPU_MAX) -> int:
    """Cores of this process that were idle for the next `over_s` seconds, at least one."""
    own = set(psutil.Process().cpu_affinity() or ())
    shares = psutil.cpu_percent(over_s, percpu=True)
    idle = sum(1 - share / 100 for core, share in enumerate(shares) if core in own)
    try:
        bound, period = cpu_max.read_text().split()
        idle = min(idle, float(bound) / float(period))
    except (OSError, ValueError):
        pass  # no control group, or no bound in it
    return max(1, round(idle))
