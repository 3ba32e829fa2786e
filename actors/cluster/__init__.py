"""The Ray cluster: connecting to it, placing roles on it, waiting for its calls."""
