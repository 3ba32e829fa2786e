"""A sandbox slot: one warm runner, one program at a time, one verdict per job."""

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType

from curriculum.problem import Checker, Test
from sandbox.backends.base import Runner
from sandbox.backends.choose import choose_backend
from sandbox.channel import Reply
from sandbox.config import Limits, SandboxConfig
from sandbox.errors import Cancelled, RunnerLost, SetupError
from sandbox.inputs import encode_check, encode_inputs, encode_job, text_of
from sandbox.job import Job
from sandbox.judging.checker import judged
from sandbox.judging.judge import JudgedRun, conclude, judge
from sandbox.verdict import Outcome, TestOutcome, TestResult, Verdict
from sandbox.warm_runner import WarmRunner, WarmRunners

logger = logging.getLogger(__name__)


class Sandbox:
    """One slot: starts its runner, and replaces it after `recycle_after` jobs and any irregularity.

    One thread at a time uses it, except for `cancel`. Entering the context, or `start`, starts the
    runner; leaving it, or `close`, ends it with every program it runs.

    Example:
        with Sandbox(SandboxConfig(), slot=0, run="try") as sandbox:
            verdict = sandbox.run(Job.for_program(problem, source))
    """

    def __init__(self, config: SandboxConfig, slot: int = 0, run: str = "local"):
        """Choose the backend.

        `slot` and `run` label the runner, for people and for `reap_strays`.

        Raises:
            SetupError: no backend of the configuration works here; the message holds the remedy.
        """
        choice = choose_backend(config)
        self.config = config
        self.slot = slot
        self.run_name = run
        self.reason = choice.reason
        self._backend = choice.backend
        self._warm = WarmRunners(choice.backend, config, slot, run)
        self._active: WarmRunner | None = None
        # Guards the three fields around it, and the order of a request and its cancellation on the
        # socket; see `cancel`.
        self._sending = threading.Lock()
        self._job: Job | None = None
        self._cancelled = False

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def isolation(self) -> str:
        """The backend's name: "docker" or "process"."""
        return self._backend.name

    def start(self) -> None:
        """Start the runner now, rather than with the first job.

        Raises:
            SetupError: no runner can be started; the message holds the remedy.
        """
        try:
            self._warm.plain.start()
        except RunnerLost as error:
            raise SetupError(f"slot {self.slot}: no runner could be started: {error}") from error

    @property
    def _runner(self) -> Runner | None:
        """The runner of programs without packages, if it is started."""
        return self._warm.plain.runner

    def close(self) -> None:
        """End the runners and every program they run; a later job starts a new runner."""
        self._warm.close()

    def run(self, job: Job) -> Verdict:
        """Run one program; whatever the program does is a verdict.

        If the sandbox itself fails, the job runs again on a fresh runner. If that fails too, the
        outcome is `infra_error`.

        Raises:
            ValueError: an input cannot be sent; names the test.
            Cancelled: `cancel` was called for this job.
        """
        with self._sending:
            self._job, self._cancelled = job, False
        try:
            return self._run(job)
        finally:
            with self._sending:
                self._job, self._active = None, None

    def cancel(self, job: Job) -> bool:
        """Kill the program of `job`, whose `run` in another thread then raises Cancelled.

        The runner stays warm. Returns False if that very job is not running. A program that ends at
        the same moment may still get its verdict.
        """
        # Under the lock the job's request is either on the socket, so that the runner kills its
        # program, or not yet, so that `_exchange_once` sees the flag and does not send it.
        with self._sending:
            if self._job is not job:
                return False
            self._cancelled = True
            if self._active is not None:
                self._active.cancel()
        return True

    def _run(self, job: Job) -> Verdict:
        seconds = (job.seconds_per_test or 0) * len(job.cases)
        limits = (job.limits or self.config.limits).with_seconds(seconds)
        inputs = encode_inputs(job)
        try:
            # Tests on stdin are processes of their own in any case.
            if job.stop_at_first_failure or (job.isolate_tests and not job.reads_stdin):
                runs = self._run_one_by_one(job, inputs, limits)
            else:
                runs = [self._run_tests(job, job.cases, inputs, limits)[0]]
        except (RunnerLost, SetupError) as error:
            return self._infra_error(job, error)
        return conclude(
            job,
            runs,
            coverage=self.config.coverage,
            isolation=self._backend.name,
            slot=self.slot,
        )

    def _run_one_by_one(self, job: Job, inputs: Sequence[str], limits: Limits) -> list[JudgedRun]:
        """Run each test in a process of its own; all of them share the job's time limits."""
        runs: list[JudgedRun] = []
        wall_left, cpu_left = limits.wall_seconds, float(limits.cpu_seconds)
        for test, text in zip(job.cases, inputs, strict=True):
            limits_left = limits.model_copy(
                update={
                    "wall_seconds": max(wall_left, 0.001),
                    "cpu_seconds": max(round(cpu_left), 1),
                }
            )
            run, reply = self._run_tests(job, [test], [text], limits_left)
            runs.append(run)
            wall_left -= reply.exit.wall_seconds
            cpu_left -= reply.exit.cpu_seconds
            outcome = run.tests[0].outcome
            stopped = job.stop_at_first_failure and outcome is not TestOutcome.passed
            if stopped or outcome is TestOutcome.timeout or run.compile_error:
                break
        return runs

    def _run_tests(
        self, job: Job, cases: Sequence[Test | str], inputs: Sequence[str], limits: Limits
    ) -> tuple[JudgedRun, Reply]:
        """Run the program once, on some or all of its tests, and judge what came out."""
        warm = self._warm.for_program(job.source)
        reply = self._exchange(warm, encode_job(job, inputs), limits, self.config.coverage)
        run = judge(reply, job, cases, limits.cpu_seconds)
        # The program has ended. The checker runs elsewhere, and sees of it only what it printed.
        self._check(run, job, cases)
        return run, reply

    def _check(self, run: JudgedRun, job: Job, cases: Sequence[Test | str]) -> None:
        """Have the job's checker judge the tests of a run that wait for it."""
        late: TestResult | None = None
        for index, printed in run.unchecked.items():
            if late is not None:  # it may be late on every test, which takes its whole time limit
                run.tests[index] = late
                continue
            case = cases[index]
            assert job.checker is not None
            assert isinstance(case, Test)
            run_on = partial(self._run_checker, job.checker, case)
            run.tests[index], was_late = judged(printed, text_of(case.output), run_on)
            if was_late:
                wrong = run.tests[index].outcome is TestOutcome.failed
                outcome = TestOutcome.not_run if wrong else TestOutcome.checker_failed
                late = TestResult(outcome, "the checker hangs on an earlier test")

    def _run_checker(self, checker: Checker, case: Test, output: str) -> Reply:
        body = encode_check(checker, case, output)
        return self._exchange(self._warm.for_checkers(), body, self.config.limits, coverage=False)

    def _exchange(self, warm: WarmRunner, body: bytes, limits: Limits, coverage: bool) -> Reply:
        """Run one program on a warm runner, or if that is lost, once more on a fresh one."""
        try:
            return self._exchange_once(warm, body, limits, coverage)
        except (RunnerLost, SetupError) as error:
            logger.warning("slot %d: %s; trying again on a fresh runner", self.slot, error)
        return self._exchange_once(warm, body, limits, coverage)

    def _exchange_once(
        self, warm: WarmRunner, body: bytes, limits: Limits, coverage: bool
    ) -> Reply:
        # The runner kills the program at its own deadline; this one is for a runner that hangs.
        wait = limits.wall_seconds + self.config.watchdog_seconds
        try:
            channel, deadline = warm.start().channel, time.monotonic() + wait
            with self._sending:
                if self._cancelled:
                    raise Cancelled("the job was cancelled before its program started")
                self._active = warm
                channel.send(limits, coverage, body, deadline)
            reply = channel.reply(deadline)
        except Cancelled:
            raise
        except BaseException:
            # Lost, or interrupted half-way: the next reply on this channel would be to this job.
            warm.close()
            raise
        warm.count(reply)
        if reply.exit.cancelled:
            raise Cancelled("the job was cancelled and its program killed")
        return reply

    def _infra_error(self, job: Job, error: RunnerLost | SetupError) -> Verdict:
        return Verdict(
            job.id,
            Outcome.infra_error,
            (TestResult(TestOutcome.not_run),) * len(job.cases),
            error=f"the sandbox failed twice: {error}",
            trusted_tests=job.assertions is None,
            isolation=self._backend.name,
            slot=self.slot,
        )
