"""Audits: what a malicious partner could do with your data, and which defenses would stop it."""

from vfl_jax.audits.result import Audit
from vfl_jax.audits.running import audit

__all__ = ["Audit", "audit"]
