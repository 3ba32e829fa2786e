"""Learning: the FGO mask, advantages, PPO losses, ZeRO engines and supervised fine-tuning.

Nothing is imported here, so that `config`, `mask` and `algorithm` load without DeepSpeed and
transformers.
"""
