"""What to change: the FGO mask, advantages, PPO loss, ZeRO engines and SFT.

Nothing is imported here: the maths (`mask`, `advantage`, `loss`) loads without DeepSpeed and
without transformers.
"""
