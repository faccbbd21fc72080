"""Tables, cell by cell: files, columns, numbers, tags, conditions, and how tables meet."""
