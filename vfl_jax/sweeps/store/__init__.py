"""The folder of a sweep: its plan, its finished chunks, and the checkpoints of unfinished ones."""
