"""Slots and their runners: cancelled, recycled, replaced; which backend there is."""

import os
import signal
import sys
import threading
import time

import pytest

from curriculum.problem import Test
from sandbox import (
    Cancelled,
    Job,
    Limits,
    Outcome,
    SandboxConfig,
    SandboxError,
    choose_backend,
)
from tests.sandbox.conftest import DOCKER, DOUBLE, open_sandbox


@pytest.mark.parametrize("isolated", [False, True])
def test_a_cancelled_program_dies_at_once_and_its_runner_stays_warm(sandbox, isolated):
    source = "import time\ndef f(x):\n    time.sleep(x)\n    return x\n"
    tests = (Test(input=[0], output=0), Test(input=[60], output=60))
    job = Job(id="c", source=source, fn_name="f", tests=tests, isolate_tests=isolated)
    assert not sandbox.cancel(job), "it does not run yet"
    sandbox.start()
    runner, began = sandbox._runner, time.monotonic()
    timer = threading.Timer(0.3, lambda: told.append(sandbox.cancel(job)))
    told = []
    timer.start()
    with pytest.raises(Cancelled):
        sandbox.run(job)
    timer.join()
    assert told == [True]
    assert time.monotonic() - began < 5
    assert not sandbox.cancel(job), "it runs no more"
    other = Job(id="o", source=DOUBLE, fn_name="f", tests=(Test(input=[5], output=10),))
    assert sandbox.run(other).outcome is Outcome.passed
    assert sandbox._runner is runner


def test_a_cancellation_that_comes_too_late_harms_nobody(sandbox):
    job = Job(id="l", source=DOUBLE, fn_name="f", tests=(Test(input=[5], output=10),))
    sandbox.run(job)
    sandbox._runner.channel.cancel()
    assert sandbox.run(job).outcome is Outcome.passed


@pytest.mark.parametrize("backend", [DOCKER, "process"])
def test_a_runner_is_recycled_after_its_jobs(backend):
    tests = (Test(input=[], output=None),)
    job = Job(
        id="x", source="import os\ndef f():\n    return os.getppid()\n", fn_name="f", tests=tests
    )
    uid = Job(
        id="y", source="import os\ndef f():\n    return os.getuid()\n", fn_name="f", tests=tests
    )
    with open_sandbox(backend, recycle_after=3) as slot:
        runners, seen = set(), set()
        for _ in range(4):
            slot.run(job)
            seen.add(slot.run(uid).error)
            runners.add(id(slot._runner) if slot._runner else None)
    assert len(seen) == (4 if backend == "docker" else 1)
    assert None in runners  # closed after the third job, started again for the fourth


@pytest.mark.parametrize("backend", [DOCKER, "process"])
def test_a_killed_runner_is_replaced_and_the_job_still_gets_its_verdict(backend):
    tests = (Test(input=[5], output=10),)
    with open_sandbox(backend) as slot:
        for _ in range(2):
            assert slot._runner is not None
            if backend == "docker":
                slot._runner.container.kill()
            else:
                slot._runner.process.send_signal(signal.SIGKILL)
            time.sleep(0.05)
            verdict = slot.run(Job(id="x", source=DOUBLE, fn_name="f", tests=tests))
            assert verdict.outcome is Outcome.passed


def test_a_wedged_runner_is_given_up_and_told_as_infrastructure_error():
    tests = (Test(input=[5], output=10),)
    job = Job(id="x", source=DOUBLE, fn_name="f", tests=tests, limits=Limits(wall_seconds=0.2))
    with open_sandbox("process", watchdog_seconds=0.3) as slot:
        started = slot._backend.start

        def start_stopped(number, run):
            runner = started(number, run)
            os.kill(runner.process.pid, signal.SIGSTOP)
            return runner

        slot.close()
        slot._backend.start = start_stopped
        began = time.monotonic()
        verdict = slot.run(job)
        del slot._backend.start
        assert verdict.outcome is Outcome.infra_error
        assert [test.outcome.value for test in verdict.tests] == ["not_run"]
        assert "did not answer in time" in verdict.error
        assert time.monotonic() - began < 5
        assert slot.run(job).outcome is Outcome.passed


def test_an_interrupted_job_leaves_no_stale_answer(monkeypatch):
    tests = (Test(input=[5], output=10),)
    job = Job(id="x", source=DOUBLE, fn_name="f", tests=tests)
    with open_sandbox("process") as slot:
        channel = slot._runner.channel
        monkeypatch.setattr(
            channel, "_receive", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            slot.run(job)
        assert slot.run(job).outcome is Outcome.passed


def test_an_unreachable_engine_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxError, match=r"no Docker engine answers.*make engine"):
        choose_backend(SandboxConfig(backend="docker", recycle_after=77))


def test_auto_falls_back_to_processes_and_says_so(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    choice = choose_backend(SandboxConfig(backend="auto", recycle_after=78))
    assert choice.backend.name == "process"
    assert "no Docker engine answers" in choice.reason
    assert sum("WITHOUT ISOLATION" in message for message in caplog.messages) == 1


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python has sys.monitoring")
def test_coverage_without_monitoring_works_and_says_that_it_is_slow(caplog):
    with open_sandbox("process", recycle_after=79) as slot:
        job = Job(id="s", source=DOUBLE, fn_name="f", tests=(Test(input=[5], output=10),))
        assert slot.run(job).executed_lines == (1, 2, 3)
        slot.close()
        slot.run(job)
    assert sum("sys.settrace" in message for message in caplog.messages) == 1


def test_a_missing_interpreter_is_one_clear_error():
    with pytest.raises(SandboxError, match="cannot start /none/python"):
        open_sandbox("process", python="/none/python").start()
    with pytest.raises(SandboxError, match="did not start with"):
        open_sandbox("process", python="/bin/false").start()
