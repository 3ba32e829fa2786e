"""Errors of the sandbox itself; what a program does wrong is a `Verdict` and never raised."""


class SandboxError(RuntimeError):
    """Base class of this package's errors."""


class SetupError(SandboxError):
    """The sandbox cannot be set up on this machine; the message says what to do about it."""


class PackagesError(SetupError):
    """A package of `sandbox.packages` cannot be had; no other kind of isolation would mend that."""


class RunnerLost(SandboxError):
    """The runner died, stopped answering or broke the protocol; not the program's fault."""


class Cancelled(SandboxError):
    """The job was cancelled while it ran: its program was killed, and there is no verdict."""
