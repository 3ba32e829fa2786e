"""The mathematics of PPO: advantages, KL estimates, losses. No DeepSpeed, no transformers."""
