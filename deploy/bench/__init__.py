"""What the parts cost and what they reach: `make bench-*`, a module for each package's figures."""
