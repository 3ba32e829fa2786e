"""Seals: what the files of a finished checkpoint are, so that a damaged one is recognised."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

SEAL = "seal.json"
BLOCK = 1 << 20
WHOLE_BLOCKS = 64
"""A file of up to this many MiB is read whole; of a larger one as many blocks, evenly spread."""


def seal(folder: Path) -> None:
    """Write down size and digest of every file below `folder`; nothing may change afterwards."""
    files = {
        str(path.relative_to(folder)): _facts(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SEAL
    }
    (folder / SEAL).write_text(json.dumps(files, indent=1) + "\n")


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in words; None if it is as it was sealed."""
    try:
        files = json.loads((folder / SEAL).read_text())
    except (OSError, ValueError) as error:
        return f"its {SEAL} cannot be read ({error})"
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != wanted["bytes"]:
            return f"{name} holds {path.stat().st_size} bytes instead of {wanted['bytes']}"
        if _facts(path) != wanted:
            return f"{name} was changed after it was written"
    return None


def _facts(path: Path) -> dict[str, int | str]:
    size = path.stat().st_size
    blocks = -(-size // BLOCK)
    read = range(blocks)
    if blocks > WHOLE_BLOCKS:
        read = [index * (blocks - 1) // (WHOLE_BLOCKS - 1) for index in range(WHOLE_BLOCKS)]
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in read:
            file.seek(block * BLOCK)
            digest.update(file.read(BLOCK))
    return {"bytes": size, "sha256": digest.hexdigest()}
