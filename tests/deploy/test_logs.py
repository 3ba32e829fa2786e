"""The console's log lines: levels, streams, other libraries, progress bars."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator

import pytest

from deploy import logs
from deploy.cli import main
from deploy.logs import close_progress_bars, log_to_stdout, set_up_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    logging.captureWarnings(False)
    set_up_logging()


def log_one_of_each() -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("actors.training").log(level, "ours %d", level)
        logging.getLogger("a_library").log(level, "theirs %d", level)


def test_by_default_our_progress_and_everybodys_warnings_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging()
    log_one_of_each()
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.splitlines() == [
        "ours 20",
        "warning: ours 30",
        "warning: theirs 30",
        "error: ours 40",
        "error: theirs 40",
    ]


def test_verbose_adds_debug_and_quiet_leaves_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=True)
    log_one_of_each()
    assert "debug: ours 10" in capsys.readouterr().err
    set_up_logging(quiet=True)
    log_one_of_each()
    assert "ours 20" not in (printed := capsys.readouterr().err)
    assert "warning: ours 30" in printed
    assert logging.getLogger("actors.training").isEnabledFor(logging.INFO), "for log.txt"


def test_progress_can_go_to_stdout_and_warnings_stay_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging()
    log_to_stdout()
    log_one_of_each()
    printed = capsys.readouterr()
    assert printed.out == "ours 20\n"
    assert "warning: ours 30" in printed.err


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "é \\ud83d"), ("ascii", "\\xe9 \\ud83d")]
)
def test_what_a_terminal_cannot_show_is_printed_as_its_escape(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    log_to_stdout()
    printed = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", printed)
    # By no logger: pytest would report it to its main process, which takes whole characters only.
    record = logging.LogRecord("a", logging.INFO, __file__, 1, "a program said é \ud83d", (), None)
    logs.ConsoleHandler(logging.INFO).handle(record)
    assert printed.buffer.getvalue().decode(encoding) == f"a program said {shown}\n"


def test_long_lines_are_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    logging.getLogger("deploy").info("word " * 60)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_python_warnings_become_log_records(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("look out", UserWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert "look out" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_until_the_stage_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(logs.CONSOLE, "_file", terminal)
    monkeypatch.setattr(logs.CONSOLE, "_force_terminal", True)
    set_up_logging()
    logger = logging.getLogger("actors.training")
    logger.info("step 1", extra={"progress": ("train", 1, 3)})
    handler = logs._console_handlers()[0]
    assert handler._bars is not None
    [task] = handler._bars.tasks
    assert (task.description, task.completed, task.total) == ("train", 1, 3)
    logger.info("step 3", extra={"progress": ("train", 3, 3)})
    assert handler._bars is None
    assert "step 1" in terminal.getvalue()
    logger.info("step 1", extra={"progress": ("warm start", 1, 3)})
    close_progress_bars()
    assert handler._bars is None


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    logging.getLogger("actors").info("step 1", extra={"progress": ("train", 1, 3)})
    assert capsys.readouterr().err == "step 1\n"


def test_an_expected_error_shows_its_origin_only_with_verbose(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["config", "--rollout.temperature", "-1"]
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main([*arguments, "--verbose"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "ConfigError" in printed
