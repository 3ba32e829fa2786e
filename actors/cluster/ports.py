"""Free TCP ports of this machine."""

from __future__ import annotations

import socket


def free_port(host: str = "") -> int:
    """A port that nothing listens on at this moment; `host` "" means every interface.

    Another process may take it before the caller does: where the caller can bind port 0 itself and
    ask for the number afterwards, that is better.
    """
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
