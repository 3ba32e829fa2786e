"""Where programs run: Docker containers, or plain processes without isolation."""
