"""The console side of Python's logging, set up once by the command line.

A terminal gets lines in colour, and a progress bar below them for records with the attribute
`progress`, a tuple of a stage, the steps done and all its steps:

    logger.info("step %d", step, extra={"progress": ("train", step, steps)})

Anything else gets plain lines.
`actors.runs.logs` brings the records of a run's actors into this process, where they are printed
like its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PACKAGES = ("actors", "curriculum", "deploy", "learner", "sandbox")
"""Loggers that print from INFO on; those of other libraries print from WARNING on."""

STYLES = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "bold red"}

CONSOLE = Console(stderr=True, highlight=False)
"""Where progress bars and log lines up to INFO go. They share one object, so that the lines stand
above the bars."""
_STDERR = Console(stderr=True, highlight=False)


class ConsoleHandler(logging.Handler):
    """Prints records: INFO as it is, other levels after their name; from WARNING on to stderr."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            console = CONSOLE if record.levelno <= logging.INFO else _STDERR
            text = self.format(record)
            if record.levelno != logging.INFO:
                text = f"{record.levelname.lower()}: {text}"
            # What the terminal cannot show, or is half a character, is printed as its escape.
            text = text.encode(console.encoding, "backslashreplace").decode(console.encoding)
            # Without soft_wrap rich breaks lines at 80 columns where it cannot ask for the width.
            console.print(Text(text, style=STYLES.get(record.levelno, "")), soft_wrap=True)
            console.file.flush()
            progress: tuple[str, float, float] | None = getattr(record, "progress", None)
            # Not `is_terminal`: FORCE_COLOR makes that true for a job's log file.
            if progress and CONSOLE.file.isatty():
                self._update_bar(*progress)
        except Exception:
            self.handleError(record)

    def close_bars(self) -> None:
        """Remove the progress bars from the terminal."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}

    def _update_bar(self, stage: str, done: float, total: float) -> None:
        if self._bars is None:
            self._bars = new_progress_bars(transient=True)
            self._bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage)
        self._bars.update(self._tasks[stage], completed=done, total=total)
        if done >= total:
            self.close_bars()


def new_progress_bars(console: Console = CONSOLE, transient: bool = False) -> Progress:
    """Progress bars with steps and times; `transient` ones vanish when they are stopped."""
    from rich import progress  # `stepcoder --help` has no need of it

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        console=console,
        transient=transient,
    )


def set_up_logging(verbose: bool = False, quiet: bool = False) -> None:
    """Print this process's log records on stderr; a second call replaces the first.

    Args:
        verbose: print DEBUG too.
        quiet: print WARNING and above only; loses to `verbose`. The loggers still pass INFO, which
            a run writes to its `log.txt`.
    """
    CONSOLE.stderr = True
    close_progress_bars()
    root = logging.getLogger()
    for handler in _console_handlers():
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


def close_progress_bars() -> None:
    """Remove the progress bars from the terminal, before an error message is printed."""
    for handler in _console_handlers():
        handler.close_bars()


def _console_handlers() -> list[ConsoleHandler]:
    return [h for h in logging.getLogger().handlers if isinstance(h, ConsoleHandler)]
