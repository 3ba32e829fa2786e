"""Failures that a person can act on, as opposed to bugs."""


class RunFailed(RuntimeError):
    """The run cannot go on; the message says what failed, where, and what to do."""
