"""The parts of tables: files, columns, cells, numbers in texts, tags, conditions, and the join of tables."""
