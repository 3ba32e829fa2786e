"""What the actors raise when a run cannot go on, or when a part of it must be replaced."""


class RunFailed(RuntimeError):
    """A run cannot go on; the message says which part failed, why, and what to do."""


class ActorLost(RunFailed):
    """An actor's process or node is gone, or no longer answers; another may take its place."""
