"""A digest of the code of records that are not the package's own: what it does, told as words."""
