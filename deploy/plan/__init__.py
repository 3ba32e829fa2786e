"""What a run takes of each GPU, by arithmetic, before anything is loaded."""
