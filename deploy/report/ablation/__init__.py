"""What the stored results of ablations say: in the console, as Markdown, as a page."""
