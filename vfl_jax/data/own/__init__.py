"""A user's own arrays and tables, made data of several parties."""
