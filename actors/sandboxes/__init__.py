"""The sandbox's Ray actors and the pool that spreads programs over them."""
