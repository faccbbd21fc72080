"""A party that follows the protocol and listens: what it reads off all of a row's messages, not the last alone."""

from __future__ import annotations

from vfl_jax.attacks.evidence import Kind, hear, no_evidence, read
from vfl_jax.protocol.transforms import Attack

WAYS: tuple[Kind, ...] = ("sum", "fading")
"""The kinds of evidence that are kept beside that of ``LabelReplacement``."""


class LabelListener(Attack):
    """Keeps the evidence of every row in each of ``WAYS`` and changes nothing; ``enabled`` makes no difference."""

    def init(self, key, shapes, party):
        return {way: no_evidence(shapes.num_samples, shapes.num_classes) for way in WAYS}

    def on_download(self, key, state, view, gradient):
        return gradient, {way: hear(way, state[way], view, gradient)[0] for way in WAYS}

    def report(self, state):
        return {f"label_guesses_{way}": read(state[way].total) for way in WAYS}
