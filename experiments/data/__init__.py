"""The data sets: how well they are learned, and how near the twin is."""
