"""Fault injection: a run whose parts are killed, compared with an undisturbed one."""
