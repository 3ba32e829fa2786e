"""The program in an answer: a reader of the Markdown and the Python that models write."""
