"""A learner rank's own checks, without Ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.errors import ActorLost
from actors.learners.worker import LearnerWorker
from learner.zero.checkpoint import Writing


class Learner:
    """Writes a word to each of its files, once it may."""

    def __init__(self) -> None:
        self.may_write = threading.Event()
        self.word = "before"

    def begin_checkpoint(self, folder: Path) -> Writing:
        return Writing([self._writer(folder / "learner")], self._writer(folder / "manifest"))

    def begin_save_pretrained(self, folder: Path) -> Callable[[], None]:
        return self._writer(folder)

    def save_checkpoint(self, folder: Path) -> None:
        (folder / "learner").write_text(self.word)

    def _writer(self, path: Path) -> Callable[[], None]:
        word = self.word

        def write() -> None:
            self.may_write.wait(20)
            path.write_text(word)

        return write


def worker_of(learner: Learner) -> LearnerWorker:
    made = LearnerWorker(rank=0, world_size=1, colocated=False)
    made._loaded = learner
    return made


def wait_until_written(worker: LearnerWorker) -> None:
    while not worker.checkpoint_written():
        time.sleep(0.001)


def test_a_restarted_rank_reports_that_it_has_lost_its_weights() -> None:
    worker = LearnerWorker(rank=1, world_size=2, colocated=False)
    with pytest.raises(ActorLost, match="learner-1 died and holds no weights"):
        worker.begin_checkpoint("never-written", None, background=True)


def test_a_rank_answers_while_it_writes_what_was_when_the_checkpoint_began(tmp_path: Path) -> None:
    learner = Learner()
    worker = worker_of(learner)
    assert worker.checkpoint_written(), "none was begun"
    worker.begin_checkpoint(str(tmp_path), str(tmp_path / "policy"), background=True)
    learner.word = "after"
    assert not worker.checkpoint_written()
    assert list(tmp_path.iterdir()) == []
    learner.may_write.set()
    wait_until_written(worker)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == dict.fromkeys(("learner", "policy", "manifest"), "before")


def test_a_rank_that_could_not_write_says_so_once_and_marks_nothing_as_complete(
    tmp_path: Path,
) -> None:
    learner = Learner()
    worker = worker_of(learner)
    learner.may_write.set()
    worker.begin_checkpoint(str(tmp_path / "missing"), None, background=True)
    with pytest.raises(FileNotFoundError):
        wait_until_written(worker)
    assert worker.checkpoint_written()
    worker.begin_checkpoint(str(tmp_path), None, background=True)
    wait_until_written(worker)
    assert (tmp_path / "manifest").exists()


def test_a_checkpoint_that_is_not_written_in_the_background_is_written_at_once(
    tmp_path: Path,
) -> None:
    worker = worker_of(Learner())
    worker.begin_checkpoint(str(tmp_path), None, background=False)
    assert (tmp_path / "learner").read_text() == "before"
    assert worker.checkpoint_written()
