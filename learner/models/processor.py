"""What this machine's processor can do."""

from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Processor features for products in bfloat16; the last is ARM's."""


def has_bfloat16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether this processor multiplies in bfloat16."""
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return not _BFLOAT16_FLAGS.isdisjoint(next(flags, "").split())
