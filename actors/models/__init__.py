"""The model on the nodes that load it."""
