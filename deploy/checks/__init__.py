"""What is checked before a run: its folder, its model and its prompts."""
