"""Data sets: the forms they are published in, read as `Problem`s."""
