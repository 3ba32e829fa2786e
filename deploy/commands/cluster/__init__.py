"""Commands on what a run runs on: the plan, and the cluster of this machine."""
