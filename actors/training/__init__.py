"""The training loop and what runs around it: evaluation, warm start, weight sync."""
