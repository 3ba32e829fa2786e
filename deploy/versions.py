"""The commit and the package versions that a result records, so that it can be repeated."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, or the folder that holds the installed packages."""


def git_commit() -> str | None:
    """The commit of the checkout, `-dirty` where files differ from it; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def package_versions() -> dict[str, str]:
    """Versions of Python and of the driver's packages; actors report those of theirs."""
    versions = {"python": platform.python_version()}
    for name in ("ray", "transformers", "pydantic", "docker", "stepcoder"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
