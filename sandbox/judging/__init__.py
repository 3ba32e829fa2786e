"""From a program's outputs to its verdict, on the host."""
