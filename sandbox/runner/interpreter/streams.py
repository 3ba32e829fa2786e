"""The standard streams of a new interpreter."""

import io
import sys
from typing import Any


def open_standard_streams() -> None:
    """Make `sys.stdin` and `sys.stdout` anew over descriptors 0 and 1, as the interpreter does.

    `sys.stderr` stays: it has no state that a program could have changed before it runs.
    """
    sys.stdin = sys.__stdin__ = _stream(0, "rb", "<stdin>")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "wb", "<stdout>")  # type: ignore[misc]


def _stream(descriptor: int, mode: str, name: str) -> io.TextIOWrapper:
    buffer: Any = open(descriptor, mode, closefd=False)  # noqa: SIM115
    buffer.raw.name = name
    # Not even stdin translates line ends.
    text: Any = io.TextIOWrapper(buffer, "utf-8", "surrogateescape", "\n")
    text.mode = mode[0]
    return text
