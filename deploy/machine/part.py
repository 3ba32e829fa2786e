"""Part: one thing that is checked, in a process of its own and with a deadline."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

_STOP_S = 20.0
"""Time in which a process that is told to end must do so [seconds]."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """What is checked with."""

    gpus: int
    """GPUs that torch sees; with 0 the CPU's equivalents run."""
    quick: bool
    """Whether the smallest models are used and everything is done once."""
    folder: Path
    """For models, runs and logs."""
    model: Path | None = None
    """A pretrained model's folder."""
    train: Path | None = None
    """Its training problems, as JSONL."""
    heldout: Path | None = None
    """Its held-out problems, as JSONL."""
    steps: int = 10
    """RL steps of each run."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """One thing that was found."""

    name: str
    value: float | str
    unit: str = ""
    limit: str = ""
    """What it must be; empty where it is only shown."""
    ok: bool = True
    remedy: str = ""
    """What to do where it is not."""


def at_most(name: str, value: float, limit: float, unit: str, remedy: str) -> Figure:
    """A number that must not exceed `limit`; NaN does."""
    return Figure(name, value, unit, f"<= {limit:g}", value <= limit, remedy)


class NotHere(Exception):
    """A part cannot run on this machine; the message says what it needs."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing that is checked."""

    name: str
    what: str
    """For a person."""
    run: Callable[[Scale], Sequence[Figure]]
    """A module's function: it runs in another process."""
    limit_s: float
    """Longest time that it may take [seconds]."""
    remedy: str
    """What to do where it ends in an error."""


@dataclasses.dataclass(frozen=True)
class PartResult:
    """What became of a part."""

    name: str
    what: str
    status: Literal["passed", "failed", "skipped"]
    seconds: float = 0.0
    figures: tuple[Figure, ...] = ()
    reason: str = ""
    """Why it was skipped, or the error."""
    remedy: str = ""


def run_part(part: Part, scale: Scale, left_s: float) -> PartResult:
    """Run a part in a process of its own, whose output goes to `<scale.folder>/<name>.log`.

    Args:
        part: what to run.
        scale: what it is checked with.
        left_s: time that is left for all parts [seconds].
    """
    if left_s < 1:
        return PartResult(part.name, part.what, "skipped", reason="no time was left (--limit)")
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    log = scale.folder / f"{part.name}.log"
    process = context.Process(target=_child, args=(part, scale, log, sending))
    started, limit_s = time.monotonic(), min(part.limit_s, left_s)
    process.start()
    sending.close()
    answer: Any = ("failed", f"it did not end within {limit_s:.0f} s")
    try:
        if receiving.poll(limit_s):
            answer = receiving.recv()
            process.join(_STOP_S)
    except EOFError:
        process.join(_STOP_S)
        answer = ("failed", f"its process ended with status {process.exitcode}")
    finally:
        for end in (process.terminate, process.kill):
            if process.is_alive():
                end()
                process.join(_STOP_S)
    seconds = time.monotonic() - started
    kind, content = answer
    if kind == "figures":
        status = "passed" if all(figure.ok for figure in content) else "failed"
        return PartResult(part.name, part.what, status, seconds, tuple(content))
    if kind == "skipped":
        return PartResult(part.name, part.what, "skipped", seconds, reason=content)
    reason = f"{content} (details: {log})"
    return PartResult(part.name, part.what, "failed", seconds, (), reason, part.remedy)


def _child(part: Part, scale: Scale, log: Path, sending: Connection) -> None:
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        try:
            sending.send(("figures", list(part.run(scale))))
        except NotHere as error:
            sending.send(("skipped", str(error)))
        except BaseException as error:  # reported to the parent, which names the log
            traceback.print_exc()
            lines = str(error).strip().splitlines() or [""]
            sending.send(("failed", f"{type(error).__name__}: {lines[0]:.400}"))
        sending.close()
