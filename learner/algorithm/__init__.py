"""The formulas of PPO: advantages, KL estimates and losses. No DeepSpeed, no transformers."""
