"""The warm start: supervised fine-tuning in a Ray task, cached by content.

The cache's key is a digest of everything the model depends on: the pairs, the model's shape, the
SFT settings. A second run with the same settings finds the model; one with others trains its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout
from ray.exceptions import RayError, RayTaskError

from actors.cluster.ray_calls import USER_ERRORS
from actors.errors import RunFailed
from actors.learners.group import learner_env
from actors.runs.logs import forward_logs
from actors.training.console import clock
from learner.config import ModelConfig, SFTConfig

logger = logging.getLogger(__name__)

Pair = tuple[str, str]
"""A question and its solution."""

_WITHOUT_EFFECT = {"eval_every", "token_budget", "gradient_checkpointing", "logprob_chunk"}
"""Settings that change no learned weight beyond rounding."""
_STEP_TIMEOUT_S = 900.0
"""Longest wait for the next step of a warm start, or for its first [seconds]."""
_LONGEST_WAIT_S = 24 * 3600.0
"""Longest wait for another run's warm start [seconds]."""
_LOG_EVERY_S = 10.0
"""Shortest time between two lines about the warm start's progress [seconds]."""


def warm_start(
    pairs: Sequence[Pair],
    model: ModelConfig,
    sft: SFTConfig,
    threads: int,
    gpu: bool,
    options: dict[str, Any],
    cache: Path,
) -> tuple[Path, float]:
    """Fine-tune a model on these pairs, unless the cache holds it.

    Args:
        pairs: questions with their solutions.
        model: the model's shape.
        sft: the settings of the fine-tuning.
        threads: CPU threads of the process that trains.
        gpu: whether that process takes a GPU.
        options: further Ray options, such as where the task is placed.
        cache: the folder that holds every warm start.

    Returns:
        The model's folder, and the time that training took (0 when cached) [seconds].

    Raises:
        TimeoutError: no step ended within `_STEP_TIMEOUT_S`; another run makes the same warm start
            and does not end.
        RunFailed: the process died, or could not train for a reason that a person can change.
        RayTaskError: training failed otherwise. No failure leaves anything in the cache.
    """
    folder = cache / f"sft-{corpus_digest(pairs, model, sft)}"
    if not _is_made(folder):
        cache.mkdir(parents=True, exist_ok=True)
        with _only_run(folder):
            if not _is_made(folder):
                started = time.monotonic()
                _train_in_task(pairs, model, sft, threads, gpu, options, folder)
                return folder, time.monotonic() - started
    logger.info("warm start: found %s", folder)
    return folder, 0.0


def _is_made(folder: Path) -> bool:
    return (folder / "config.json").exists()


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Be the only run that makes this warm start; wait for another that does.

    The lock is the file system's: it ends with the process that holds it. A file system without
    locks has two runs make it, of which the later one replaces an equal model.

    Raises:
        TimeoutError: another run held it for `_LONGEST_WAIT_S`.
    """
    lock = FileLock(f"{folder}.lock", fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("warm start: another run makes %s; waiting for it", folder)
        try:
            lock.acquire(timeout=_LONGEST_WAIT_S, poll_interval=0.5)
        except Timeout:
            raise TimeoutError(
                f"warm start: another run has held {folder}.lock for {_LONGEST_WAIT_S / 3600:g} "
                "hours: end it, or give this run another runs_dir"
            ) from None
    except OSError as error:
        logger.warning("warm start: %s: no lock keeps another run out: %s", folder, error)
    try:
        yield
    finally:
        lock.release()


def _train_in_task(
    pairs: Sequence[Pair],
    model: ModelConfig,
    sft: SFTConfig,
    threads: int,
    gpu: bool,
    options: dict[str, Any],
    folder: Path,
) -> None:
    """Fine-tune in a Ray task, and log how far it is."""
    logger.info(
        "warm start: %d pairs, %d steps of %d -> %s", len(pairs), sft.steps, sft.batch_size, folder
    )
    started = time.monotonic()
    task = ray.remote(_train).options(
        **{
            "name": "sft",
            "num_cpus": 0 if gpu else 1,
            "num_gpus": 1 if gpu else 0,
            "max_retries": 0,
            "runtime_env": {"env_vars": learner_env(threads, gpu)},
            "num_returns": "streaming",
        }
        | options
    )
    logged_s = 0.0
    stream: Any = task.remote(ray.put(list(pairs)), sft, model, str(folder))
    while True:
        ready, _ = ray.wait([stream], timeout=_STEP_TIMEOUT_S)
        if not ready:
            raise TimeoutError(f"warm start: no step within {_STEP_TIMEOUT_S:g} s")
        reference = next(stream, None)
        if reference is None:
            return
        row = _row(reference)
        elapsed = time.monotonic() - started
        if elapsed - logged_s >= _LOG_EVERY_S or row["step"] == sft.steps:
            logged_s = elapsed
            left = elapsed / max(1, row["step"]) * (sft.steps - row["step"])
            logger.info(
                "warm start: step %d/%d  loss %.4f  left %s",
                row["step"],
                sft.steps,
                row["loss"],
                clock(left),
                extra={"progress": ("warm start", row["step"], sft.steps)},
            )


def _row(reference: Any) -> dict[str, Any]:
    """The progress row behind a reference; a failure is named as the warm start's."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, USER_ERRORS):
            raise RunFailed(f"warm start: {error.cause}") from error
        raise
    except RayError as error:
        raise RunFailed(f"warm start: its process or node is gone: {error}") from error


def corpus_digest(pairs: Sequence[Pair], model: ModelConfig, sft: SFTConfig) -> str:
    """Sixteen hex digits that name a warm start by everything it depends on: not by settings of
    measurement, speed and memory.
    """
    digest = hashlib.sha256()
    settings = sft.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    for part in (model.model_dump(mode="json"), settings, list(pairs)):
        digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _train(
    pairs: list[Pair], config: SFTConfig, model: ModelConfig, out_dir: str
) -> Iterator[dict[str, Any]]:
    """Train in a thread and yield each progress row to the driver."""
    from learner.sft import sft

    forward_logs("sft")
    rows: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    failure: list[BaseException] = []

    def train() -> None:
        try:
            prompts = [(f"{question}\n", solution) for question, solution in pairs]
            sft(prompts, config, model, Path(out_dir), rows.put)
        except BaseException as error:
            failure.append(error)
        finally:
            rows.put(None)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    while (row := rows.get()) is not None:
        yield row
    thread.join()
    if failure:
        raise failure[0]
