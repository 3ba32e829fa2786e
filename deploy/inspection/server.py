"""Serving a finished folder on this machine."""

from __future__ import annotations

import functools
import http.server
from pathlib import Path
from typing import Any

from deploy.errors import ConfigError


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print no line for each file."""

    def end_headers(self) -> None:
        """A folder that is built again is read again."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


def open_server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of the folder on the loopback interface; port 0 takes a free one.

    Raises:
        ConfigError: the port is in use, or is none.
    """
    handler = functools.partial(_Quiet, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        what = getattr(error, "strerror", None) or "not a port"
        raise ConfigError(
            f"--port {port}: {what}; choose another, or 0 for any that is free"
        ) from None
