"""Errors of this package; the command line shows each as one message."""

from __future__ import annotations

from typing import ClassVar


class DeployError(Exception):
    """Something the user can put right; the message says what is wrong, where, and the remedy."""

    exit_status: ClassVar[int] = 1
    """Exit status of the command that raises it."""


class ConfigError(DeployError):
    """A configuration, an argument or a file that cannot be used."""

    exit_status = 2


class ClusterError(DeployError):
    """A Ray cluster on this machine cannot be started or reached."""
