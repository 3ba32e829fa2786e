"""Progress of a long command: bars on a terminal, log lines elsewhere."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from deploy.progress import LINE_INTERVAL_S, StageProgress


def test_a_terminal_shows_a_bar_per_stage_with_its_count() -> None:
    screen = io.StringIO()
    with StageProgress(Console(file=screen, width=120, force_terminal=True)) as progress:
        progress.begin("deadlines", 3)
        for _ in range(2):
            progress.step("1 kept")
    assert "deadlines, 1 kept" in screen.getvalue()
    assert "2/3" in screen.getvalue()


def test_without_a_terminal_a_stage_logs_its_beginning_its_pace_and_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    console = Console(file=io.StringIO())
    with caplog.at_level(logging.INFO), StageProgress(console, clock=lambda: now) as progress:
        progress.begin("verify", 6, done=2)
        progress.step()
        now = LINE_INTERVAL_S
        progress.step("2 kept")
        now += 1
        progress.step()
        progress.step()
    assert caplog.messages == [
        "verify ...",
        "verify: 4 of 6, 2 kept, 5 s left",
        "verify: 6 of 6, 0 s left",
    ]
