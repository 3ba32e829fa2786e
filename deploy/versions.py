"""What a result must name to be repeated: the commit and the packages it came from."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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
    """Python and the driver's packages; the actors report their own."""
    found = {"python": platform.python_version()}
    for name in ("ray", "transformers", "pydantic", "docker", "stepcoder"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
