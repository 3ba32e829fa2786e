"""The run folder: checkpoints, checksums, metrics, rollouts and logs."""
