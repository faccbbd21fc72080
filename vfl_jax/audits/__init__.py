"""Audits: what a malicious partner could do with your data, and which defenses would stop it."""

from vfl_jax.audits.readings import is_audit, read
from vfl_jax.audits.result import Audit
from vfl_jax.audits.running import audit
from vfl_jax.reports.readings import READERS

READERS.append((is_audit, read))

__all__ = ["Audit", "audit"]
