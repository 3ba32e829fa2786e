"""Where the figures of a run go beside its folder, by name (`loop.sinks`)."""
