"""Python's logging across the processes of a run: every actor's records reach the driver.

    actor:   logger.warning(...) -> forward_logs' handler -> queue -> thread -> LogHub (a Ray actor)
    driver:  LogHub -> thread of collect_logs -> logging.getLogger(record.name) -> console, log.txt

Records travel as plain dictionaries of strings and numbers. An actor also writes each record to its
own stderr, which Ray keeps in its session folder, so that nothing is lost where there is no hub.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from typing_extensions import override

logger = logging.getLogger(__name__)

PACKAGES = ("actors", "curriculum", "deploy", "learner", "sandbox")
"""Loggers whose records count from INFO on; those of other libraries count from WARNING on."""

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"

_HUB = "log-hub"
_KEPT = 10_000
"""Records that the hub keeps for a driver that does not fetch them; the oldest are dropped."""
_POLL_S = 1.0
"""Longest wait of one fetch [seconds]; a record that arrives meanwhile ends it at once."""
_FLUSH_S = 5.0
"""Longest wait for the last records at the end of a run [seconds]."""
_SETTLE_S = 0.3
"""Time that records under way have to reach the hub at the end of a run [seconds]."""


class LogHub:
    """Holds the records that actors push until the driver takes them.

    All methods run on one event loop, so none needs a lock.
    """

    def __init__(self) -> None:
        self._records: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._arrived = asyncio.Event()

    async def push(self, records: list[dict[str, Any]]) -> None:
        """Add records."""
        self._records.extend(records)
        self._arrived.set()

    async def take(self, wait_s: float) -> list[dict[str, Any]]:
        """Remove and return every record; waits up to `wait_s` seconds for the first."""
        try:
            async with asyncio.timeout(wait_s):
                await self._arrived.wait()
        except TimeoutError:
            pass
        records = list(self._records)
        self._records.clear()
        self._arrived.clear()
        return records


# ----------------------------------------------------------------------------- in an actor


def forward_logs(actor_name: str) -> None:
    """Send this process's log records to the driver, under the actor's name.

    The first call in every actor's `__init__`. Records of our packages count from INFO on, those of
    other libraries and Python's warnings from WARNING on. Does nothing in the driver itself.
    """
    if not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        return
    root = logging.getLogger()
    for handler in [h for h in root.handlers if getattr(h, "forwards_logs", False)]:
        root.removeHandler(handler)  # Ray may run a second task in the same process
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(logging.Formatter(FORMAT))
    for handler in (stderr, _ForwardingHandler(actor_name)):
        handler.addFilter(counts)
        handler.forwards_logs = True  # type: ignore[union-attr]
        root.addHandler(handler)
    logging.captureWarnings(True)


def counts(record: logging.LogRecord) -> bool:
    """Whether a record is worth a person's attention: ours from INFO on, others' from WARNING on.

    vLLM's count from ERROR on: every engine on a CPU warns of what a CPU lacks.
    """
    library = record.name.partition(".")[0]
    if library in PACKAGES:
        return record.levelno >= logging.INFO
    return record.levelno >= (logging.ERROR if library == "vllm" else logging.WARNING)


class _ForwardingHandler(logging.Handler):
    """Queues records; a thread sends them.

    `emit` must neither block nor call Ray: it may run inside one of Ray's own locks, or in a
    destructor. `SimpleQueue.put` is safe there.
    """

    def __init__(self, actor_name: str) -> None:
        super().__init__()
        self._actor = actor_name
        self._process = os.getpid()
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._send, name="forward-logs", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() != self._process:
            return  # a forked child has no thread that would empty the queue
        try:
            self._queue.put(_as_dict(record, self._actor))
        except Exception:
            self.handleError(record)

    def _send(self) -> None:
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            # Without a hub (no driver collects, or Ray is shutting down) stderr has the records.
            try:
                ray.get_actor(_HUB).push.remote(batch)
            except Exception:
                continue


def _as_dict(record: logging.LogRecord, actor: str) -> dict[str, Any]:
    exception = record.exc_text
    if exception is None and record.exc_info:
        exception = logging.Formatter().formatException(record.exc_info)
    return {
        "name": record.name,
        "levelno": record.levelno,
        "levelname": record.levelname,
        "msg": f"{actor}: {record.getMessage()}",
        "created": record.created,
        "msecs": record.msecs,
        "pathname": record.pathname,
        "filename": record.filename,
        "lineno": record.lineno,
        "funcName": record.funcName,
        "process": record.process,
        "exc_text": exception,
        "actor": actor,
    }


# ----------------------------------------------------------------------------- in the driver


@contextmanager
def collect_logs(path: Path) -> Iterator[None]:
    """While inside, the actors' records are handled as the driver's own, and all go to `path`.

    A record from an actor passes through `logging.getLogger(record.name)` like any other. Its
    message begins with the actor's name, and its attribute `actor` holds it. The file is appended
    to; it gets what the loggers let through, whatever the levels of console handlers, and the
    exception that ends the context, if one does.

    Needs a connection to Ray. Actors that are created inside find the hub by its name in the job's
    namespace; it ends with this context, or with the job.
    """
    file = _LogFile(path)
    file.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.addHandler(file)
    levels = {logging.getLogger(package): logging.getLogger(package).level for package in PACKAGES}
    for package in levels:
        if package.getEffectiveLevel() > logging.INFO:
            package.setLevel(logging.INFO)  # a program that has not set up logging at all
    hub = _start_hub()
    stopped = threading.Event()
    thread = threading.Thread(target=_collect, args=(hub, stopped), name="collect-logs")
    thread.daemon = True  # a Ray that does not answer must not keep the process from ending
    thread.start()
    try:
        yield
    except BaseException:
        # Only to the file: whoever catches the exception tells the person at the console.
        file.handle(_record_of_exception())
        raise
    finally:
        stopped.set()
        thread.join(_FLUSH_S)
        if ray.is_initialized():
            ray.kill(hub)
        for package, level in levels.items():
            package.setLevel(level)
        root.removeHandler(file)
        file.close()


class _LogFile(logging.FileHandler):
    """The run's log file. What a full disk keeps from it is told once, and hides no other error.

    Half a surrogate pair, which a program's error message may hold, is written as its escape.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._told = False

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Tell the other handlers of an error of the disk, once."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            logger.warning("%s lacks records: %s", self.baseFilename, error)

    @override
    def close(self) -> None:
        """Close the file, with what of the last records it takes."""
        with suppress(OSError):
            super().close()


def _record_of_exception() -> logging.LogRecord:
    return logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, "the run ended early", (), sys.exc_info()
    )


def _start_hub() -> Any:
    """The hub, on the driver's node: it shall not die with a worker node.

    Ray repeats calls that were under way when the hub's process died. Records that the hub held
    are lost then; they are on the stderr of their actors.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options: dict[str, Any] = {
        "name": _HUB,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 3,
        "max_concurrency": 1000,
        "scheduling_strategy": here,
    }
    return ray.remote(LogHub).options(**options).remote()


def _collect(hub: Any, stopped: threading.Event) -> None:
    """Handle records until the context ends, then those that are left."""
    try:
        while not stopped.is_set():
            try:
                _handle(ray.get(hub.take.remote(_POLL_S)))
            except RayError:  # the hub is being started again
                stopped.wait(_POLL_S)
        time.sleep(_SETTLE_S)
        _handle(ray.get(hub.take.remote(0), timeout=_FLUSH_S))
    except Exception:  # Ray is shutting down, or its connection is gone
        logger.debug("no more records of actors", exc_info=True)


def _handle(records: list[dict[str, Any]]) -> None:
    for fields in records:
        record = logging.makeLogRecord(fields)
        target = logging.getLogger(record.name)
        if target.isEnabledFor(record.levelno):
            target.handle(record)
