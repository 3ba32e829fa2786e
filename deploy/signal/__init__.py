"""When a mask helps: signal and noise of the policy gradient, from recorded rollouts."""
