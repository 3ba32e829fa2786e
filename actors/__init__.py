"""Where it runs: the Ray actors around curriculum, sandbox and learner, and the training loop."""
