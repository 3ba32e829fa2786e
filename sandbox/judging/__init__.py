"""From a runner's reply to a verdict, on the host."""
