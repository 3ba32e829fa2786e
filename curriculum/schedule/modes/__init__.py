"""The modes: what each decides of stages and of the next problem."""
