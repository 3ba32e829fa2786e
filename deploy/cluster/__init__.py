"""Ray clusters of one machine: local, simulated, and jobs submitted to them."""
