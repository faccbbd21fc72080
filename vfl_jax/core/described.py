"""A data set in a few lines for people, as text and for notebooks: its rows, parties, classes and triggers."""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Features
from vfl_jax.core.words import counted

if TYPE_CHECKING:
    from vfl_jax.core.vertical_data import VerticalData

WIDTH = 79
TOGETHER = "\0"
"""Stands for a blank at which no line is broken: that between a class and how many rows it has."""
MOST_CLASSES = 20
"""Of more classes the first are listed alone."""


def text_of(data: VerticalData) -> str:
    """Returns the lines, none longer than 79 characters.

    Args:
      data: the data set.
    """
    head = f"VerticalData {data.name!r}: {_size(data)}"
    lines = [f"{name}: {said.replace(' (', f'{TOGETHER}(')}" for name, said in _facts(data).items()]
    wrapped = [textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ") for line in lines]
    text = "\n".join([*textwrap.wrap(head, WIDTH), *(part for line in wrapped for part in line)])
    return text.replace(TOGETHER, " ")


def html_of(data: VerticalData) -> str:
    """Returns the same as a table of HTML.

    Args:
      data: the data set.
    """
    rows = "".join(
        f'<tr><th style="text-align: left">{html.escape(name)}</th>'
        f'<td style="text-align: left">{html.escape(said).replace(" (", "&nbsp;(")}</td></tr>'
        for name, said in _facts(data).items()
    )
    return f"<div><b>{html.escape(data.name)}</b>: {html.escape(_size(data))}<table>{rows}</table></div>"


def _size(data: VerticalData) -> str:
    """How many rows and classes there are."""
    rows = f"{counted(data.train.num_samples, 'training row')}, {counted(data.test.num_samples, 'test row')}"
    return f"{rows}, {data.num_classes:,} classes"


def _facts(data: VerticalData) -> dict[str, str]:
    """What a reader asks first, by its name."""
    found = {}
    for k, (party, features) in enumerate(zip(data.parties, data.train.features, strict=True)):
        name = party if party.startswith("party") else f"party {party}"
        found[name] = _features(features) + ", and the labels" * (k == data.active_party)
    if data.active_party is None:
        found["active party"] = "holds the labels and no features"
    counts = np.bincount(np.asarray(data.train.labels), minlength=data.num_classes)
    classes = [f"{name} ({count:,})" for name, count in zip(data.classes, counts, strict=False)]
    more = [f"and {len(classes) - MOST_CLASSES:,} more"] if len(classes) > MOST_CLASSES else []
    found["training rows by class"] = ", ".join(classes[:MOST_CLASSES] + more)
    marked = [int(np.sum(rows.has_trigger)) for rows in (data.train, data.test)]
    if any(marked):
        found["rows with a trigger by nature"] = f"{marked[0]:,} training rows, {marked[1]:,} test rows"
    return found


def _features(features: Features) -> str:
    """The features of one party."""
    if isinstance(features, BagOfIds):
        return f"bags of {counted(features.vocabulary, 'id')}"
    shape = np.shape(features)[1:]
    said = counted(int(np.prod(shape)), "feature")
    return said if len(shape) < 2 else f"{said} ({' × '.join(map(str, shape))})"
