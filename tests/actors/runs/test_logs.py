"""Log records of actors reach the driver's handlers and the run's log file, named by actor."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.config import PlacementConfig
from actors.errors import RunFailed
from actors.learners.group import LearnerGroup
from actors.runs import logs
from actors.runs.logs import collect_logs, counts, forward_logs
from learner.config import LearnerConfig
from learner.models.source import ModelSource
from learner.trajectory import Trajectory, TrajectoryGroup, pack


class Speaker:
    """An actor that logs what it is told."""

    def __init__(self, name: str) -> None:
        forward_logs(name)
        forward_logs(name)  # a second call replaces the first one's handlers

    def log(self, logger: str, level: int, message: str) -> int:
        logging.getLogger(logger).log(level, message)
        return os.getpid()

    def warn(self) -> None:
        warnings.warn("a library's warning", stacklevel=1)

    def fail(self) -> None:
        try:
            raise ValueError("the cause")
        except ValueError:
            logging.getLogger("learner.ppo").exception("an update failed")

    def kill_hub(self) -> None:
        ray.kill(ray.get_actor("log-hub"), no_restart=False)


class Console(logging.Handler):
    """A driver's console handler that remembers its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def console() -> Iterator[Console]:
    handler = Console()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_records_of_an_actor_reach_console_and_file_under_its_name(
    tmp_path: Path, console: Console
) -> None:
    with collect_logs(tmp_path / "log.txt"):
        logging.getLogger("actors.training").info("a line of the driver")
        speaker: Any = ray.remote(Speaker).remote("learner-0")
        process = ray.get(speaker.log.remote("learner.ppo", logging.WARNING, "engines differ"))
        ray.get(speaker.log.remote("learner.ppo", logging.INFO, "ours"))
        ray.get(speaker.log.remote("some.library", logging.INFO, "another's"))
        ray.get(speaker.log.remote("some.library", logging.ERROR, "its error"))
        ray.get([speaker.warn.remote(), speaker.fail.remote()])
        wait_for(lambda: "learner-0: engines differ" in console.lines)
    # Leaving the context flushed what was under way.
    assert console.lines.count("learner-0: engines differ") == 1
    assert {"learner-0: ours", "learner-0: its error", "learner-0: an update failed"} <= {
        *console.lines
    }
    assert not any("another's" in line for line in console.lines)
    assert any("a library's warning" in line for line in console.lines)
    record = next(r for r in console.records if r.getMessage() == "learner-0: engines differ")
    assert (record.name, record.levelname, record.process) == ("learner.ppo", "WARNING", process)
    assert record.__dict__["actor"] == "learner-0"
    text = (tmp_path / "log.txt").read_text()
    assert "INFO    a line of the driver" in text
    assert "WARNING learner-0: engines differ" in text
    assert "ValueError: the cause" in text
    ray.kill(speaker)


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_the_logprob_alarm_of_a_real_learner_reaches_console_and_file(
    tmp_path: Path, console: Console, tiny_model: Path
) -> None:
    config = LearnerConfig(logprob_diff_alarm="warn", logprob_diff_limit=1e-6)
    # The trainer's log-probabilities of random weights are nowhere near -0.5.
    sampled = Trajectory(
        sample_id=0,
        problem_id="p",
        stage=0,
        prompt_ids=(5, 6, 7),
        response_ids=(8, 9),
        rollout_logprobs=(-0.5, -0.5),
        executed_mask=(True, True),
        reward=1.0,
        weight_version=1,
        outcome="passed",
        finish_reason="stop",
        cut_mask=(False, False),
    )

    async def update() -> None:
        learner = LearnerGroup.create(config, PlacementConfig(), gpu=False, deadline_s=120)
        try:
            await learner.start(ModelSource(str(tiny_model)), 1.0, tmp_path / "faults")
            await learner.update([pack(TrajectoryGroup((sampled,)))])
        finally:
            await learner.stop()

    with collect_logs(tmp_path / "log.txt"):
        asyncio.run(update())
    [alarm] = [line for line in console.lines if "learner.logprob_diff_limit" in line]
    assert alarm.startswith("learner-0: update 0: ")
    assert f"WARNING {alarm}" in (tmp_path / "log.txt").read_text()


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_the_file_holds_the_exception_that_ends_a_run_and_its_notes(tmp_path: Path) -> None:
    def end_early() -> None:
        with collect_logs(tmp_path / "log.txt"):
            error = RunFailed("no rollout engine is left")
            error.add_note("continue with --resume")
            raise error

    with pytest.raises(RunFailed):
        end_early()
    text = (tmp_path / "log.txt").read_text()
    assert "ERROR   the run ended early" in text
    assert "RunFailed: no rollout engine is left\ncontinue with --resume" in text


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_a_restarted_hub_still_collects_and_a_missing_hub_breaks_no_actor(
    tmp_path: Path, console: Console
) -> None:
    path = tmp_path / "log.txt"
    speaker: Any = ray.remote(Speaker).remote("rollout-1")
    ray.get(speaker.log.remote("actors", logging.WARNING, "nobody collects"))
    with collect_logs(path):
        ray.get(speaker.log.remote("actors", logging.WARNING, "first"))
        wait_for(lambda: "rollout-1: first" in console.lines)
        ray.get(speaker.kill_hub.remote())

        def arrived() -> bool:
            ray.get(speaker.log.remote("actors", logging.WARNING, "after the restart"))
            return "rollout-1: after the restart" in console.lines

        wait_for(arrived)
    # Without a hub the record stays on the actor's stderr, or reaches the next one if it is quick.
    ray.get(speaker.log.remote("actors", logging.WARNING, "the hub is gone"))
    with collect_logs(path):  # a second run in the same job, as after --resume
        ray.get(speaker.log.remote("actors", logging.WARNING, "second"))
        wait_for(lambda: "rollout-1: second" in console.lines)
    text = path.read_text()
    assert "first" in text
    assert "second" in text, "the file is appended to"
    ray.kill(speaker)


def test_our_packages_count_from_info_on_and_other_libraries_from_warning_on() -> None:
    def record(name: str, level: int) -> logging.LogRecord:
        return logging.LogRecord(name, level, __file__, 1, "message", None, None)

    assert counts(record("actors.training.trainer", logging.INFO))
    assert not counts(record("actors.training.trainer", logging.DEBUG))
    assert counts(record("py.warnings", logging.WARNING))
    assert not counts(record("sandboxed_library", logging.INFO))
    assert not counts(record("vllm.triton_utils", logging.WARNING))
    assert counts(record("vllm.engine", logging.ERROR))


def test_forwarding_does_nothing_outside_an_actor() -> None:
    before = list(logging.getLogger().handlers)
    forward_logs("driver")
    assert logging.getLogger().handlers == before


@pytest.fixture
def without_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_start_hub", lambda: None)
    monkeypatch.setattr(logs, "_collect", lambda *_: None)
    monkeypatch.setattr(ray, "kill", lambda _hub: None)


@pytest.mark.usefixtures("without_hub")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_hides_no_error_behind_that_of_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> None:
        with collect_logs(Path("/dev/full")):
            for _ in range(3):
                logging.getLogger("actors.training").warning("a record")
            raise RunFailed("the disk became full: free space")

    with pytest.raises(RunFailed, match="free space"):
        run()
    assert "Logging error" not in capsys.readouterr().err
    assert caplog.text.count("/dev/full lacks records: ") == 1


def test_half_a_character_in_a_message_is_written_as_its_escape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = logs._LogFile(tmp_path / "log.txt")
    # By no logger: pytest would report it to its main process, which takes whole characters only.
    file.handle(logging.LogRecord("a", logging.WARNING, __file__, 1, "said \ud83d", (), None))
    file.close()
    assert (tmp_path / "log.txt").read_text() == "said \\ud83d\n"
    assert "Logging error" not in capsys.readouterr().err
