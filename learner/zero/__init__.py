"""DeepSpeed ZeRO: engines, their process group, exported weights and checkpoints."""
