"""Model folders that commands write: when an existing one may be replaced."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.errors import ConfigError

MODEL_FILES = ("config.json", "adapter_config.json")


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse to write a model folder over something else; ask before one replaces another.

    Raises:
        ConfigError: `out` cannot become a model folder, or must not be replaced.
    """
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise ConfigError(f"--out {out}: {above} is a file, not a folder; name another")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not any((out / name).is_file() for name in MODEL_FILES):
        raise ConfigError(f"--out {out}: exists and is no model folder; name another")
    if overwrite:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"--out {out}: holds a model; replace it with --overwrite")
    if input(f"{out} holds a model. Replace it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigError(f"--out {out}: kept; name another folder")
