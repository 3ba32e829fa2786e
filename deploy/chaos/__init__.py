"""A run under seeded faults, compared with an undisturbed one."""
