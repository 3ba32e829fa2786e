"""Processes of Ray and of our jobs on this machine: which of them a command left behind."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

WORKER = "PYTEST_XDIST_WORKER"
"""The variable in which pytest-xdist tells a process which worker it is."""


def ray_processes() -> dict[int, psutil.Process]:
    """Every live process of any Ray on this machine by pid."""
    return {
        process.pid: process
        for process in psutil.process_iter(["name", "cmdline", "status"])
        # A zombie that waits for a slow init to collect it has ended.
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and (
            process.info["name"].startswith(("ray", "gcs_server", "VLLM"))
            or (
                _is_ours(process.info["cmdline"] or [])
                and process.pid not in {os.getpid(), os.getppid()}
            )
        )
    }


def left_since(before: dict[int, psutil.Process], within_s: float = 10.0) -> list[str]:
    """The processes of Ray that were started since `before` and stay for `within_s` seconds.

    Children of a Ray that ran before do not count: it starts idle workers whenever it likes. Nor do
    those of pytest-xdist's other worker, which starts commands of its own.
    """
    others = _siblings()
    deadline = time.monotonic() + within_s
    while True:
        stay = []
        for process in ray_processes().values():
            with contextlib.suppress(psutil.NoSuchProcess):
                line = [process, *process.parents()]
                if before.keys().isdisjoint(each.pid for each in line) and not any(
                    each.pid in others or _of_another_worker(each) for each in line
                ):
                    stay.append(f"{process} of {process.ppid()}")
        if not stay or time.monotonic() > deadline:
            return stay
        time.sleep(0.2)


def _siblings() -> set[int]:
    """Process ids of the other workers of pytest-xdist."""
    parent = psutil.Process().parent()
    if parent is None or WORKER not in os.environ:
        return set()
    return {child.pid for child in parent.children()} - {os.getpid()}


def _of_another_worker(process: psutil.Process) -> bool:
    """Whether the process has the name of another worker of pytest-xdist, as children inherit it.

    Of those that set their title nothing can be read: the title lies where the variables were.
    """
    try:
        worker = process.environ().get(WORKER)
    except psutil.AccessDenied:  # an init that is not ours
        return False
    return worker is not None and worker != os.environ.get(WORKER)


def _is_ours(cmdline: list[str]) -> bool:
    """Whether the command is one of Ray's own or our command line."""
    return any("/ray/" in word for word in cmdline) or cmdline[1:3] == ["-m", "deploy"]
