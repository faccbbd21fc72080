"""Mistakes made on purpose, one at a time in copies of the package, and which of them the tests catch."""
