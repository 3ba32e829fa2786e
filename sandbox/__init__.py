"""What happened: programs run in isolation, with a verdict that follows from outputs compared here.

    with Sandbox(SandboxConfig(), slot=0, run="try") as sandbox:
        verdict = sandbox.run(Job(id="1", source=source, fn_name="f", tests=problem.tests))

Works with neither Ray nor torch. See README.md beside this file.
"""

from sandbox.backends.choose import Choice, choose_backend
from sandbox.config import Limits, SandboxConfig
from sandbox.errors import Cancelled, SandboxError
from sandbox.job import Assertions, Job
from sandbox.sandbox import Sandbox
from sandbox.verdict import Outcome, Statement, TestOutcome, TestResult, Verdict

__all__ = [
    "Assertions",
    "Cancelled",
    "Choice",
    "Job",
    "Limits",
    "Outcome",
    "Sandbox",
    "SandboxConfig",
    "SandboxError",
    "Statement",
    "TestOutcome",
    "TestResult",
    "Verdict",
    "choose_backend",
    "ensure_image",
    "reap_strays",
]


def reap_strays(run: str | None = None) -> int:
    """See `sandbox.backends.docker_client.reap_strays`; imports the docker package when called."""
    from sandbox.backends.docker_client import reap_strays as reap

    return reap(run)


def ensure_image(config: SandboxConfig) -> str:
    """See `sandbox.backends.docker_image.ensure_image`; imports the docker package when called."""
    from sandbox.backends.docker_image import ensure_image as ensure

    return ensure(config)
