"""The pages of `stepcoder inspect`: what a policy wrote, what ran, and what was learned from it."""
