"""Experiments: one folder each, with its cases, a report, a page and its results."""
