"""The bundled problem generator, deterministic by seed."""
