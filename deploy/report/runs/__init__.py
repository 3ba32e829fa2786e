"""The report on training runs: a page, its pictures, and the terminal's comparison of two runs."""
