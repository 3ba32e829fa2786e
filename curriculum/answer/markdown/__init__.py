"""The Markdown of an answer: reasoning, end markers, code fences and what stands between them."""
