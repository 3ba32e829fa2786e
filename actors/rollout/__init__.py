"""Generation: vLLM workers, the fleet that spreads prompts over them, and the samples they make."""
