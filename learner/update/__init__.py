"""The parts of one update: scores of its batch, metrics of its steps, samples that broke it."""
