"""Audits of two data sets whose tables two parties hold in life: what a malicious partner could do."""
