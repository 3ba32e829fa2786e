"""What `python3 program.py` does around a program: streams, `__main__`, recursion, exit."""
