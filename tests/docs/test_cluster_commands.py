"""The documented `ray start` lines make one cluster; its execution node offers the sandbox."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.docs.commands import Command, block_commands

BIN = Path(sys.executable).parent
PORT = "26399"
MARKER = "STEPCODER_TEST"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables of every process of the test, which are killed at its end."""
    marker = uuid.uuid4().hex
    yield {**os.environ, MARKER: marker, "RAY_TMPDIR": f"/tmp/{marker[:8]}"}
    # Ray's agents overwrite their environment: they are found as children.
    for process in [*marked(marker), *(c for p in marked(marker) for c in p.children(True))]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def marked(marker: str) -> list[psutil.Process]:
    """The processes that inherited the test's environment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARKER) == marker:
                found.append(process)
    return found


@pytest.mark.integration
def test_the_documented_nodes_form_a_cluster_with_an_execution_node(
    environment: dict[str, str],
) -> None:
    page = [command for command in block_commands() if command.page == Path("docs/cluster.md")]
    assert [command.program for command in page] == ["export", "ray", "ray", "ray", "ray"]
    export, *commands = page
    environment |= dict(setting.split("=") for setting in export.arguments)
    for command in commands:
        start = run(command, environment)
        assert start.returncode == 0, start.stdout
    deadline = time.monotonic() + 60
    status = ""
    while time.monotonic() < deadline and "0.0/4.0 sandbox" not in status:
        status = subprocess.run(
            [BIN / "ray", "status", f"--address=127.0.0.1:{PORT}"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        ).stdout  # fmt: skip
        time.sleep(1)
    assert "0.0/4.0 sandbox" in status


def run(command: Command, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a documented line, with a free port, no dashboard and little memory."""
    text = re.sub(r"\bHEAD:6379\b", f"127.0.0.1:{PORT}", command.text)
    text = text.replace("--port=6379", f"--port={PORT} --include-dashboard=false")
    text = text.replace(".venv/bin/", f"{BIN}/")
    if command.arguments[0] == "start":
        text += " --object-store-memory=80000000"
    return subprocess.run(
        ["sh", "-c", text],
        env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
