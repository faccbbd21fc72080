"""A digest of the code of records that users write: it describes in words what the code does, and hashes them."""
