"""A run's files in an object store: uploaded as they become whole, and fetched to go on."""
