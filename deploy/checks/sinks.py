"""The libraries of `loop.sinks`, looked for before a run starts."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from actors.runs.sinks.registry import missing_libraries
from deploy.errors import ConfigError


def check_sinks(names: Sequence[str]) -> None:
    """Refuse sinks whose library is not installed.

    Raises:
        ConfigError: names them, and the command that installs what they need.
    """
    missing = missing_libraries(names)
    if missing:
        raise ConfigError(
            f"loop.sinks: {', '.join(missing)}: the client library is not installed; install it "
            f"with `{sys.executable} -m pip install {' '.join(missing.values())}`, or leave the "
            "sink out"
        )
