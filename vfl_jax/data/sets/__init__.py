"""Public data sets, one per file, and where their files lie."""
