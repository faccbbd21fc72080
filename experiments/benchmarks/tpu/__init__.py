"""Which programs compile for a TPU, found on a machine that has none."""
