"""Ray's token authentication, which the clusters started here keep on."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from deploy.errors import ClusterError


def use_token_authentication() -> None:
    """Authenticate this process with the user's token.

    Call it before `ray` is imported: Ray's client reads the setting at that time and never again.
    """
    os.environ["RAY_AUTH_MODE"] = "token"


def ray_command() -> str:
    """Path of this environment's `ray`."""
    return str(Path(sys.executable).with_name("ray"))


@cache
def auth_token() -> str:
    """This user's Ray token, made on first use (`ray get-auth-token --generate`).

    Raises:
        ClusterError: Ray could not make one.
    """
    made = subprocess.run(
        [ray_command(), "get-auth-token", "--generate"],
        env={**os.environ, "RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if made.returncode:
        raise ClusterError(f"`ray get-auth-token --generate` failed: {made.stderr.strip()}")
    return made.stdout.split()[-1]
