"""What can go wrong that is not the program's doing."""


class SandboxError(RuntimeError):
    """The sandbox cannot be set up; the message says what to do about it."""


class RunnerLost(Exception):
    """The runner died, fell silent or broke the protocol: our fault, not the program's."""


class Cancelled(Exception):
    """The job was cancelled while it ran: its program was killed, and there is no verdict."""
