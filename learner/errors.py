"""The errors of this package. Wrong arguments of a function are a ValueError instead."""


class LearnerError(Exception):
    """The learner cannot go on; the message says what is wrong and what to do about it."""


class ModelError(LearnerError):
    """The model or its tokenizer is missing, not supported, or does not fit the configuration."""


class CheckpointError(LearnerError):
    """A checkpoint is incomplete or damaged, or belongs to another learner."""


class NonFiniteError(LearnerError):
    """A loss, gradient or log-probability is NaN or infinite.

    Continue from the last checkpoint: earlier optimizer steps of the update may have been applied.
    """


class LogprobMismatchError(LearnerError):
    """The rollout engine's log-probabilities differ from the trainer's; nothing was learned."""
