"""The console side of Python's logging, set up once by the command line.

A terminal gets lines in colour that progress bars do not disturb; anything else gets plain lines.
`actors.runs.logs` brings the records of a run's actors into this process, where they are printed
like its own.
"""

from __future__ import annotations

import logging

from rich.console import Console
from rich.text import Text

PACKAGES = ("actors", "curriculum", "deploy", "learner", "sandbox")
"""Loggers that print from INFO on; those of other libraries print from WARNING on."""

STYLES = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "bold red"}

CONSOLE = Console(stderr=True, highlight=False)
"""Where progress bars and log lines up to INFO go. They share one object, so that the lines stand
above the bars."""
_STDERR = Console(stderr=True, highlight=False)


class ConsoleHandler(logging.Handler):
    """Prints records: INFO as it is, other levels after their name; from WARNING on to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            console = CONSOLE if record.levelno <= logging.INFO else _STDERR
            text = self.format(record)
            if record.levelno != logging.INFO:
                text = f"{record.levelname.lower()}: {text}"
            # Without soft_wrap rich breaks lines at 80 columns where it cannot ask for the width.
            console.print(Text(text, style=STYLES.get(record.levelno, "")), soft_wrap=True)
            console.file.flush()
        except Exception:
            self.handleError(record)


def set_up_logging(verbose: bool = False, quiet: bool = False) -> None:
    """Print this process's log records on stderr; a second call replaces the first.

    Args:
        verbose: print DEBUG too.
        quiet: print WARNING and above only; loses to `verbose`. The loggers still pass INFO, which
            a run writes to its `log.txt`.
    """
    CONSOLE.stderr = True
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, ConsoleHandler)]:
        root.removeHandler(handler)
    handler = ConsoleHandler(
        logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    )
    root.addHandler(handler)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)


def log_to_stdout() -> None:
    """Print records up to INFO on stdout: for commands whose progress is their output."""
    CONSOLE.stderr = False
