"""One way to put a command into the `stepcoder` command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from deploy.config import ConfigError

Command = Callable[[argparse.Namespace, Sequence[str]], int]
"""Takes the options, and the words that are none of them; returns the exit status."""


def add_command(
    commands: Any, name: str, run: Command, summary: str, examples: str
) -> argparse.ArgumentParser:
    """A parser for `name` among `commands` (argparse's subparsers), which `run` carries out."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=run)
    return parser


def no_more(words: Sequence[str]) -> None:
    """Refuse words that a command does not take.

    Raises:
        ConfigError: there are any; names the first.
    """
    if words:
        raise ConfigError(f"unexpected argument {words[0]!r}; see --help")
