"""Whether this machine can run StepCoder, and how fast: the parts of `stepcoder check`."""
