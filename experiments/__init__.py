"""Studies: one folder each, with a configuration, a runner and its results."""
