"""The Python of an answer: statements, what they do, and whether they parse."""
