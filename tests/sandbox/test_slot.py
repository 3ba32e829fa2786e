"""A slot and its runner: jobs are cancelled; runners are recycled, and replaced when lost."""

import os
import signal
import threading
import time

import pytest

from curriculum.problem import Test
from sandbox import Cancelled, Job, Limits, Outcome
from sandbox.backends.docker import DockerRunner
from sandbox.backends.process import ProcessRunner
from sandbox.runner import COMMAND
from sandbox.runner.server import FAILED_STATUS
from tests.sandbox.conftest import DOCKER, DOUBLE, open_sandbox

TESTS = (Test(input=[5], output=10),)
JOB = Job(id="slot", source=DOUBLE, fn_name="f", tests=TESTS)


@pytest.mark.parametrize("isolated", [False, True])
def test_cancelling_kills_the_program_and_keeps_the_runner(sandbox, isolated):
    source = "import time\ndef f(x):\n    time.sleep(x)\n    return x\n"
    tests = (Test(input=[0], output=0), Test(input=[60], output=60))
    job = Job(id="c", source=source, fn_name="f", tests=tests, isolate_tests=isolated)
    assert not sandbox.cancel(job), "it does not run yet"
    sandbox.start()
    runner, started = sandbox._runner, time.monotonic()

    def cancel():
        while not sandbox.cancel(job):  # it does not run yet
            time.sleep(0.1)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Cancelled):
        sandbox.run(job)
    canceller.join()
    assert time.monotonic() - started < 30, "its second test sleeps for a minute"
    assert not sandbox.cancel(job), "it runs no more"
    assert sandbox.run(JOB).outcome is Outcome.passed
    assert sandbox._runner is runner


def test_a_cancellation_that_comes_too_late_does_not_affect_the_next_job(sandbox):
    sandbox.run(JOB)
    sandbox._runner.channel.cancel()
    assert sandbox.run(JOB).outcome is Outcome.passed


@pytest.mark.parametrize("backend", [DOCKER, "process"])
def test_a_runner_is_recycled_after_its_jobs(backend):
    source = "import os\ndef f():\n    return [os.getppid(), os.getuid()]\n"
    job = Job(id="x", source=source, fn_name="f", tests=(Test(input=[], output=None),))
    with open_sandbox(backend, recycle_after=2) as slot:
        answers, runners = [], []
        for _ in range(3):
            answers.append(slot.run(job).error)
            runners.append(slot._runner)
    assert runners[1] is None, "closed after its second job"
    assert runners[2] not in (None, runners[0])
    if backend == "docker":  # every run has a uid of its own; the runner is always process 1
        assert answers[0] != answers[1]
    else:  # every run has the user's uid; the parent is another runner
        assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("backend", [DOCKER, "process"])
def test_a_killed_runner_is_replaced_and_the_job_still_gets_its_verdict(backend):
    with open_sandbox(backend) as slot:
        for _ in range(2):
            killed = slot._runner
            if backend == "docker":
                assert isinstance(killed, DockerRunner)
                killed.container.kill()
            else:
                assert isinstance(killed, ProcessRunner)
                killed.process.send_signal(signal.SIGKILL)
            assert slot.run(JOB).outcome is Outcome.passed
            assert slot._runner is not killed


BROKEN_SEAL = (
    "import sys; from runner.confinement import Confinement; whole = Confinement.seal; "
    "second = lambda: sys._getframe(3).f_locals.get('index') == 1; "
    "Confinement.seal = lambda *limits: 1 / 0 if second() else whole(*limits); main()"
)
"""Instead of `main()`: fails to confine the process of a second test on stdin."""
SECOND = Job(
    id="second",
    source="print(input())",
    fn_name=None,
    tests=tuple(Test(input=f"{n}\n", output=f"{n}\n") for n in (1, 2, 3)),
)


@pytest.mark.parametrize("backend", [DOCKER, "process"])
def test_a_test_that_cannot_be_confined_is_the_sandboxs_failure(backend, monkeypatch):
    command = f"sandbox.backends.{backend}.COMMAND"
    monkeypatch.setattr(command, COMMAND.replace("main()", BROKEN_SEAL))
    with open_sandbox(backend) as slot:
        verdict = slot.run(SECOND)
        assert verdict.outcome is Outcome.infra_error
        assert verdict.error is not None
        assert verdict.error is not None
        assert "could not start the program's process" in verdict.error
        assert {test.outcome.value for test in verdict.tests} == {"not_run"}
        assert slot.run(JOB).outcome is Outcome.passed, "its process is confined as ever"
        broken = slot._runner
        monkeypatch.setattr(command, COMMAND)
        assert slot.run(SECOND).outcome is Outcome.passed
        assert slot._runner is not broken


@pytest.mark.parametrize("status", [1, FAILED_STATUS])
def test_a_program_cannot_pretend_that_it_could_not_be_confined(sandbox, status):
    leave = f"import os\nos._exit({status})\n"
    tests = {None: Test(input="", output=""), "f": Test(input=[], output=None)}
    for fn_name, source in ((None, leave), ("f", f"def f(): {leave.splitlines()[1]}\nimport os")):
        job = Job(id="s", source=source, fn_name=fn_name, tests=(tests[fn_name],) * 2)
        verdict = sandbox.run(job)
        assert verdict.outcome is Outcome.runtime_error
        assert verdict.error == f"the program ended its process (status {status})"
    spoil = "import os\nfor n in range(3, 64):\n    try: os.{call}\n    except OSError: pass\n"
    for call in ("close(n)", "read(n, 9)", "write(n, b'+')", "ftruncate(n, 0)"):
        job = SECOND.model_copy(
            update={"source": spoil.format(call=call) + "raise OSError", "isolate_tests": True}
        )
        verdict = sandbox.run(job)
        assert verdict.outcome is Outcome.runtime_error, verdict.error
        assert {test.outcome.value for test in verdict.tests} == {"runtime_error"}


def test_a_runner_that_hangs_is_given_up_and_the_outcome_is_infra_error():
    job = JOB.model_copy(update={"limits": Limits(wall_seconds=0.2)})
    with open_sandbox("process", watchdog_seconds=0.3) as slot:
        start = slot._backend.start

        def start_stopped(slot, run, preload=()):
            runner = start(slot, run)
            assert isinstance(runner, ProcessRunner)
            os.kill(runner.process.pid, signal.SIGSTOP)
            return runner

        slot.close()
        slot._backend.start = start_stopped
        started = time.monotonic()
        verdict = slot.run(job)
        del slot._backend.start
        assert verdict.outcome is Outcome.infra_error
        assert [test.outcome.value for test in verdict.tests] == ["not_run"]
        assert verdict.error is not None
        assert "did not answer in time" in verdict.error
        assert time.monotonic() - started < 5
        assert slot.run(JOB).outcome is Outcome.passed


def test_the_reply_to_an_interrupted_job_is_never_given_to_the_next(monkeypatch):
    with open_sandbox("process") as slot:
        assert slot._runner is not None
        channel = slot._runner.channel

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(channel, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            slot.run(JOB)
        assert slot.run(JOB).outcome is Outcome.passed
