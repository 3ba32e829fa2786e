"""The warm start: supervised fine-tuning in its own actor process, cached by content.

The cache's key is a digest of everything the model depends on (the pairs themselves, the model's
shape, the SFT settings), so a second run finds it and a changed one does not.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from actors.learners.group import learner_env
from actors.training.console import clock
from learner.config import ModelConfig, SFTConfig

Pair = tuple[str, str]

_SILENCE_S = 900.0
"""Longest wait for the next step of a warm start, or for its first [seconds]."""


def warm_start(
    pairs: Sequence[Pair],
    model: ModelConfig,
    sft: SFTConfig,
    threads: int,
    gpu: bool,
    options: dict[str, Any],
    cache: Path,
    say: Callable[[str], None],
) -> tuple[Path, float]:
    """The folder of a model fine-tuned on these pairs, and the seconds it took (0 when cached).

    Args:
        pairs: questions with their solutions.
        model: its shape.
        sft: how it is tuned.
        threads: of the process that does it.
        gpu: whether it takes a GPU.
        options: further Ray options, such as where it is placed.
        cache: the folder that holds every warm start.
        say: is told how far it is.

    Raises:
        TimeoutError: nothing was heard of it for `_SILENCE_S`.
        RayTaskError: training failed; nothing is left in the cache.
    """
    folder = cache / f"sft-{corpus_digest(pairs, model, sft)}"
    if (folder / "config.json").exists():
        say(f"warm start: found {folder}")
        return folder, 0.0
    say(f"warm start: {len(pairs)} pairs, {sft.steps} steps of {sft.batch_size} -> {folder}")
    cache.mkdir(parents=True, exist_ok=True)
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
    shown = 0.0
    stream: Any = task.remote(ray.put(list(pairs)), sft, model, str(folder))
    while True:
        heard, _ = ray.wait([stream], timeout=_SILENCE_S)
        if not heard:
            raise TimeoutError(f"warm start: no step within {_SILENCE_S:g} s")
        reference = next(stream, None)
        if reference is None:
            return folder, time.monotonic() - started
        row: dict[str, Any] = ray.get(reference)
        elapsed = time.monotonic() - started
        if elapsed - shown >= 10 or row["step"] == sft.steps:
            shown = elapsed
            left = elapsed / max(1, row["step"]) * (sft.steps - row["step"])
            say(
                f"warm start: step {row['step']}/{sft.steps}  loss {row['loss']:.4f}  "
                f"left {clock(left)}"
            )


def corpus_digest(pairs: Sequence[Pair], model: ModelConfig, sft: SFTConfig) -> str:
    """Sixteen hex digits that name a warm start by everything it depends on."""
    digest = hashlib.sha256()
    for part in (model.model_dump(mode="json"), sft.model_dump(mode="json"), list(pairs)):
        digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _train(
    pairs: list[Pair], config: SFTConfig, model: ModelConfig, out_dir: str
) -> Iterator[dict[str, Any]]:
    """Train in a thread and yield each progress row to the driver."""
    from learner.sft import sft

    rows: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    failure: list[BaseException] = []

    def train() -> None:
        try:
            asked = [(f"{question}\n", solution) for question, solution in pairs]
            sft(asked, config, model, Path(out_dir), rows.put)
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
