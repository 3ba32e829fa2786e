"""DeepSpeed ZeRO engines, their process group and their checkpoints."""
