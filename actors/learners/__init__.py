"""The learner's Ray actors: one DeepSpeed rank each, driven as a group."""
