"""Gpu: what the data sheets say of a GPU, and the names by which `--gpu` knows it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from deploy.errors import ConfigError

_USABLE = 0.92
"""Share of the memory in a card's name that an unknown card surely has for programs, in GiB of GB:
error correction and the driver take some."""


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU."""

    name: str
    """As it is asked for, such as `a100-40`."""
    memory: int
    """Memory that torch reports [bytes]."""
    device: str = ""
    """Part of the name that torch reports; empty where the kind is not known."""
    flops: float | None = None
    """Dense bfloat16 operations a second by the vendor's data sheet; None where it is not known."""
    bandwidth: float | None = None
    """Bytes a second between its memory and its processors by the data sheet."""


def _gpu(name: str, gib: float, device: str, tera_flops: float, gb_s: float) -> Gpu:
    return Gpu(name, int(gib * 2**30), device, tera_flops * 1e12, gb_s * 1e9)


GPUS = (
    _gpu("b200-180", 178.3, "B200", 2250, 8000),
    _gpu("h200-141", 139.7, "H200", 989, 4800),
    _gpu("h100-pcie-80", 79.1, "H100 PCIe", 756, 2000),
    _gpu("h100-80", 79.1, "H100", 989, 3350),
    _gpu("a100-80", 79.1, "A100", 312, 2039),
    _gpu("a100-40", 39.4, "A100", 312, 1555),
    _gpu("l40s-48", 44.4, "L40S", 362, 864),
    _gpu("l4-24", 22.0, "L4", 121, 300),
    _gpu("a10g-24", 22.0, "A10G", 70, 600),
    _gpu("a10-24", 22.0, "A10", 125, 600),
    _gpu("rtx4090-24", 23.5, "RTX 4090", 165, 1008),
)
"""The kinds that are known; a name that begins like another one's stands before it."""

_BY_NAME = {gpu.name: gpu for gpu in GPUS}
_NAME = re.compile(r"[a-z][a-z0-9-]*-(\d{1,4})")


def parse_gpus(text: str) -> list[Gpu]:
    """The kinds that a text names, separated by commas: `h100-80,a100-40`.

    A kind that is not known, such as `mi300x-192`, has its memory and no speed.

    Raises:
        ConfigError: a name does not end in the GPU's memory, or none is given.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"--gpu {text!r}: name at least one GPU, such as {GPUS[3].name}")
    return [_BY_NAME.get(name) or _unknown(name) for name in names]


def _unknown(name: str) -> Gpu:
    match = _NAME.fullmatch(name)
    if match is None or int(match[1]) == 0:
        nearest = difflib.get_close_matches(name, _BY_NAME, 1, 0.4)
        raise ConfigError(
            f"--gpu {name}: expected a name and its memory in GB, such as a100-40"
            + (f"; did you mean {nearest[0]}?" if nearest else "")
            + f" Known are {', '.join(_BY_NAME)}"
        )
    return Gpu(name, int(_USABLE * int(match[1]) * 2**30))


def peak_flops(device: str) -> float | None:
    """Dense bfloat16 operations a second of the GPU that torch calls `device`; None if unknown."""
    return next((gpu.flops for gpu in GPUS if gpu.device in device), None)
