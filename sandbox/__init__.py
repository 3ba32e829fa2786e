"""Isolated execution: runs untrusted programs on their tests and returns verdict and coverage.

    with Sandbox(SandboxConfig(), slot=0, run="try") as sandbox:
        verdict = sandbox.run(Job(id="1", source=source, fn_name="f", tests=problem.tests))

Needs neither Ray nor torch. See README.md beside this file.
"""

from sandbox.backends.choose import Choice, choose_backend
from sandbox.config import Limits, SandboxConfig
from sandbox.errors import Cancelled, RunnerLost, SandboxError, SetupError
from sandbox.job import Job
from sandbox.sandbox import Sandbox
from sandbox.verdict import Outcome, Statement, TestOutcome, TestResult, Verdict

__all__ = [
    "Cancelled",
    "Choice",
    "Job",
    "Limits",
    "Outcome",
    "RunnerLost",
    "Sandbox",
    "SandboxConfig",
    "SandboxError",
    "SetupError",
    "Statement",
    "TestOutcome",
    "TestResult",
    "Verdict",
    "choose_backend",
]
