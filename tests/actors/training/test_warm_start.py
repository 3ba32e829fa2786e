"""The name of a cached warm start: what changes it, and what does not."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import actors.training.warm_start as module
from actors.training.warm_start import corpus_digest, warm_start
from learner.config import ModelConfig, SFTConfig

PAIRS = [("question", "solution")]


def test_settings_that_change_no_weight_keep_the_warm_start() -> None:
    digest = corpus_digest(PAIRS, ModelConfig(), SFTConfig())
    for same in (
        SFTConfig(eval_every=7),
        SFTConfig(token_budget=512),
        SFTConfig(gradient_checkpointing=True),
    ):
        assert corpus_digest(PAIRS, ModelConfig(), same) == digest
    for other in (SFTConfig(steps=7), SFTConfig(seed=1), SFTConfig(mixed_precision=False)):
        assert corpus_digest(PAIRS, ModelConfig(), other) != digest
    assert corpus_digest([*PAIRS, *PAIRS], ModelConfig(), SFTConfig()) != digest


def call_warm_start(cache: Path) -> tuple[Path, float]:
    return warm_start(
        PAIRS, ModelConfig(), SFTConfig(), threads=1, gpu=False, options={}, cache=cache
    )


def test_two_runs_that_share_a_warm_start_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Path] = []
    begun, go_on = threading.Event(), threading.Event()

    def train(*arguments: Any) -> None:
        folder: Path = arguments[-1]
        made.append(folder)
        begun.set()
        assert go_on.wait(20)
        folder.mkdir()
        (folder / "config.json").touch()

    monkeypatch.setattr(module, "_train_in_task", train)
    caplog.set_level("INFO")
    results: list[tuple[Path, float]] = []
    first = threading.Thread(target=lambda: results.append(call_warm_start(tmp_path)))
    first.start()
    assert begun.wait(20)
    second = threading.Thread(target=lambda: results.append(call_warm_start(tmp_path)))
    second.start()
    while "waiting for it" not in caplog.text:
        assert second.is_alive()
    go_on.set()
    first.join(20)
    second.join(20)
    assert len(made) == 1
    assert [folder for folder, _ in results] == made * 2
    assert results[1][1] == 0.0, "the second found it"


def test_a_warm_start_that_failed_leaves_the_next_run_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(module, "_train_in_task", fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no memory"):
            call_warm_start(tmp_path)


def test_a_file_system_without_locks_has_every_run_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    made: list[Path] = []
    monkeypatch.setattr(fcntl, "flock", missing)
    monkeypatch.setattr(module, "_train_in_task", lambda *arguments: made.append(arguments[-1]))
    call_warm_start(tmp_path)
    assert "no lock keeps another run out" in caplog.text
    Path(f"{made[0]}.lock").write_text("1234\nanother-machine\n")
    call_warm_start(tmp_path)
    assert len(made) == 2
