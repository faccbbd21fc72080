"""Public data sets, one per file, and the search for their files."""
