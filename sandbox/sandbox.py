"""A sandbox slot: one warm runner, one program at a time, one verdict per job."""

import itertools
import json
import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from sandbox.backends.base import Runner
from sandbox.backends.choose import choose_backend
from sandbox.channel import Reply
from sandbox.config import Limits, SandboxConfig
from sandbox.errors import Cancelled, RunnerLost, SetupError
from sandbox.inputs import encoded
from sandbox.job import Job
from sandbox.judging.judge import Run, executed_lines, judge, overall, statements
from sandbox.judging.tampering import is_suspicious
from sandbox.verdict import Outcome, TestOutcome, TestResult, Verdict

logger = logging.getLogger(__name__)

TRIES = 2


class Sandbox:
    """One slot: starts its runner, replaces it after `recycle_after` jobs and after anything odd.

    Used by one thread at a time, save `cancel`. Entering it as a context, or `start`, starts the
    runner; leaving it, or `close`, ends it with all it runs.

    Example:
        with Sandbox(SandboxConfig(), slot=0, run="try") as sandbox:
            verdict = sandbox.run(Job(id="1", source=source, fn_name="f", tests=problem.tests))
    """

    def __init__(self, config: SandboxConfig, slot: int = 0, run: str = "local"):
        choice = choose_backend(config)
        self.config = config
        self.slot = slot
        self.run_name = run
        self.reason = choice.reason
        self._backend = choice.backend
        self._runner: Runner | None = None
        self._jobs_run = 0
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
        """Start the runner now; raises SandboxError, with the remedy, if that cannot work."""
        try:
            self._ensure_runner()
        except RunnerLost as error:
            raise SetupError(f"slot {self.slot}: no runner could be started: {error}") from error

    def _ensure_runner(self) -> Runner:
        if self._runner is None:
            self._runner = self._backend.start(self.slot, self.run_name)
            self._jobs_run = 0
        return self._runner

    def close(self) -> None:
        """End the runner and all it runs; the slot can be used again."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.end()

    def run(self, job: Job) -> Verdict:
        """Run one program. Never raises for what the program does.

        A failure of the sandbox itself is tried again once on a fresh runner, then told as
        `Outcome.infra_error`. Raises ValueError, naming the test, if an input cannot be sent, and
        Cancelled after `cancel`.
        """
        with self._sending:
            self._job, self._cancelled = job, False
        try:
            return self._run(job)
        finally:
            with self._sending:
                self._job = None

    def cancel(self, job: Job) -> bool:
        """Kill the program of `job`, whose `run` in another thread then raises Cancelled.

        False where that very job is not under way. The runner stays warm. A program that ends just
        then may still get its verdict.
        """
        with self._sending:
            if self._job is not job:
                return False
            self._cancelled = True
            if self._runner is not None:
                self._runner.channel.cancel()
        return True

    def _run(self, job: Job) -> Verdict:
        limits = job.limits or self.config.limits
        inputs = _inputs(job)
        try:
            if job.stop_at_first_failure or job.isolate_tests:
                return self._verdict(job, self._one_by_one(job, inputs, limits))
            body = _body(job, inputs)
            reply = self._exchange(body, limits)
            return self._verdict(job, [judge(reply, job, job.cases, limits.cpu_seconds)])
        except (RunnerLost, SetupError) as error:
            not_run = (TestResult(TestOutcome.not_run),) * len(job.cases)
            return Verdict(
                job.id,
                Outcome.infra_error,
                not_run,
                error=f"the sandbox failed {TRIES} times: {error}",
                trusted_tests=job.assertions is None,
                isolation=self._backend.name,
                slot=self.slot,
            )

    def _one_by_one(self, job: Job, inputs: Sequence[str], limits: Limits) -> list[Run]:
        runs: list[Run] = []
        wall, cpu = limits.wall_seconds, float(limits.cpu_seconds)
        for test, given in zip(job.cases, inputs, strict=True):
            left = limits.model_copy(
                update={"wall_seconds": max(wall, 0.001), "cpu_seconds": max(round(cpu), 1)}
            )
            reply = self._exchange(_body(job, [given]), left)
            runs.append(judge(reply, job, [test], left.cpu_seconds))
            wall, cpu = wall - reply.ending.wall, cpu - reply.ending.cpu
            outcome = runs[-1].tests[0].outcome
            stopped = job.stop_at_first_failure and outcome is not TestOutcome.passed
            if stopped or outcome is TestOutcome.timeout or runs[-1].compile_error:
                break
        return runs

    def _exchange(self, body: bytes, limits: Limits) -> Reply:
        """One job on the warm runner, or once more on a fresh one."""
        wait = limits.wall_seconds + self.config.watchdog_seconds
        for attempt in itertools.count(1):
            try:
                channel, deadline = self._ensure_runner().channel, time.monotonic() + wait
                with self._sending:  # a cancellation comes before it, or after
                    if self._cancelled:
                        raise Cancelled
                    channel.send(limits, self.config.coverage, body, deadline)
                reply = channel.reply(deadline)
                break
            except Cancelled:
                raise
            except (RunnerLost, SetupError) as error:
                logger.warning("slot %d: %s; starting a fresh runner", self.slot, error)
                self.close()
                if attempt == TRIES:
                    raise
            except BaseException:
                self.close()  # interrupted half-way: the runner's next words would be stale
                raise
        self._jobs_run += 1
        if not reply.ending.clean or self._jobs_run >= self.config.recycle_after:
            self.close()
        if reply.ending.cancelled:
            raise Cancelled
        return reply

    def _verdict(self, job: Job, runs: list[Run]) -> Verdict:
        tests = [test for run in runs for test in run.tests]
        skipped = len(job.cases) - len(tests)
        tests += [TestResult(TestOutcome.not_run)] * skipped
        first = runs[0]
        outcome, error, line = overall(tests[: len(tests) - skipped]), None, None
        found, lines = (), ()
        if first.compile_error:
            outcome, (error, line) = Outcome.compile_error, first.compile_error
        else:
            for test in tests:
                if test.outcome not in (TestOutcome.passed, TestOutcome.not_run):
                    error, line = test.message or test.outcome.value, test.line
                    break
            if self.config.coverage:
                found = statements(runs)
                lines = executed_lines(job.source.encode(), found)
        return Verdict(
            job_id=job.id,
            outcome=outcome,
            tests=tuple(tests),
            executed_lines=lines,
            statements=found,
            error=error,
            error_line=line,
            wall_seconds=sum(run.ending.wall for run in runs),
            cpu_seconds=sum(run.ending.cpu for run in runs),
            coverage_tampered=any(run.ending.tampered for run in runs) or is_suspicious(job.source),
            trusted_tests=job.assertions is None,
            isolation=self._backend.name,
            stopped_early=job.stop_at_first_failure and skipped > 0,
            slot=self.slot,
        )


def _inputs(job: Job) -> list[str]:
    if job.assertions is None:
        return encoded(job.fn_name, job.tests)
    return [json.dumps(statement) for statement in job.assertions.statements]


def _body(job: Job, inputs: Sequence[str]) -> bytes:
    fields = {
        "source": job.source,
        "fn_name": job.fn_name,
        "setup": job.assertions.setup if job.assertions else None,
    }
    return f'{json.dumps(fields)[:-1]}, "inputs": [{", ".join(inputs)}]}}'.encode()
