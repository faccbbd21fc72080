"""A page per method, from its docstring, its hooks, what it needs, and what the committed results say of it."""

from __future__ import annotations

import inspect
import re
from typing import Any

import vfl_jax
from docs.staging import findings
from docs.staging.pages import ROOT
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.methods import changes
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack

HOOKS = {
    "on_features": "changes its own features in training",
    "on_upload": "changes what it sends in training",
    "on_receive": "changes the embeddings that arrive in training",
    "on_labels": "changes the labels that the head learns from",
    "on_send": "changes the gradients that go out",
    "on_download": "changes or reads the gradients that come back",
    "on_embed": "acts inside the loss, and may learn there",
    "on_epoch": "acts between epochs",
    "infer_features": "changes its own features at inference",
    "infer_upload": "changes what it sends at inference",
    "infer_receive": "changes the embeddings that arrive at inference",
    "infer_logits": "changes the head's answer",
    "infer_suspicion": "says which test rows are suspicious",
    "infer_labels": "answers with labels of test rows",
}
"""What a hook is for, in words; the keys are those of the two bases."""


def methods() -> dict[str, type]:
    """Every method of the package by its name, attacks first."""
    rooms = (vfl_jax.attacks, vfl_jax.defenses)
    found = {name: getattr(room, name) for room in rooms for name in sorted(room.__all__, key=str.lower)}
    return {name: kind for name, kind in found.items() if inspect.isclass(kind)}


def pages() -> dict[str, str]:
    """The sources by their paths on the site."""
    found = methods()
    written = {f"methods/{name}.md": _page(name, kind) for name, kind in found.items()}
    return written | {"methods/index.md": _index(found)}


def _index(found: dict[str, type]) -> str:
    """All methods with a line each."""
    parts = ["# Methods\n\nWhat every attack and defense is, where it comes from, what it knows, and what was found.\n"]
    for title, is_attack in (("Attacks", True), ("Defenses", False)):
        own = [name for name, kind in found.items() if issubclass(kind, Attack | ActiveAttack) == is_attack]
        rows = [f"| [{name}]({name}.md) | {_line(found[name])} |" for name in own]
        parts.append("\n".join([f"## {title}\n", "| | |", "|---|---|", *rows, ""]))
        parts.append("```{toctree}\n:hidden:\n\n" + "\n".join(own) + "\n```\n")
    return "\n".join(parts)


def _page(name: str, kind: type) -> str:
    """One method's page: what it is, facts, what was found, and the reference."""
    room = kind.__module__.split(".")[1]
    facts = [("who runs it", _who(kind)), ("what it does", _acts(kind)), ("what it knows", _knows(kind))]
    if (source := _source(kind)) is not None:
        facts.insert(0, ("source", source))
    if (held := _held(name)) is not None:
        facts.append(("held against", held))
    table = "\n".join(["| | |", "|---|---|", *(f"| **{title}** | {text} |" for title, text in facts)])
    reference = f"```{{eval-rst}}\n.. autoclass:: vfl_jax.{room}.{name}\n```\n"
    found = findings.of(name, issubclass(kind, Attack | ActiveAttack))
    return f"# {name}\n\n{_line(kind)}\n\n{table}\n\n## What was found\n\n{found}\n## Reference\n\n{reference}"


def _line(kind: type) -> str:
    """The first line of the docstring."""
    return _markdown(inspect.getdoc(kind).split("\n\n", 1)[0]) if kind.__doc__ else ""


def _source(kind: type) -> str | None:
    """The sentence of the docstring that names the source, or the module's first line, which does."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    if (match := re.search(r"Sources?: (.+?\.)(?= [A-Z]|$)", text)) is not None:
        return _markdown(match[1])
    line = (inspect.getmodule(kind).__doc__ or "").split("\n\n", 1)[0]
    return _markdown(" ".join(line.split())) if re.search(r"(19|20)\d\d", line) else None


def _who(kind: type) -> str:
    if issubclass(kind, Attack):
        return "a malicious party without labels"
    if issubclass(kind, ActiveAttack):
        return "the active party, which holds the labels"
    return "the active party" if issubclass(kind, ActiveTransform) else "a party that holds features"


def _acts(kind: Any) -> str:
    """What its hooks do, in words, with their names."""
    own = [f"{words} (`{hook}`)" for hook, words in HOOKS.items() if hasattr(kind, hook) and changes(kind(), hook)]
    if issubclass(kind, PartyChain):
        return "its parts act in order, and the first tells the others what it guessed (`seen_after`)"
    return "; ".join(own) or "nothing by itself: its base says what"


def _knows(kind: Any) -> str:
    """What a scenario grants it; a defense is granted nothing."""
    if not issubclass(kind, Attack | ActiveAttack):
        return "what its view shows; nothing of an attacker"
    needs = kind().needs if issubclass(kind, Attack) else None
    if needs is None:
        return "all labels, which are its own"
    where = "in its own message" if needs.trigger == "message" else "stamped on its features"
    parts = [f"the trigger is {where}"]
    if needs.poison_rate:
        parts.append(f"{100 * needs.poison_rate:g} % of the training rows carry it")
    parts.append(f"{needs.num_targets} training row{'s' * (needs.num_targets > 1)} known to be of the target class")
    if needs.num_known:
        parts.append(f"{needs.num_known} rows of every class with their labels")
    if needs.is_paired:
        parts.append("a poison row and a target row are appended to every batch")
    return "; ".join(parts) + " (defaults of `needs`)"


def _held(name: str) -> str | None:
    """What :file:`docs/vectors.md` says the method was held against."""
    for line in (ROOT / "docs" / "vectors.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == f"`{name}`" and len(cells) == 5:
            return f"{cells[1]}{f': {cells[3]}' * (cells[3] != '–')} ([all methods](../docs/vectors.md))"
    return None


def _markdown(text: str) -> str:
    """A docstring's words as Markdown, for a cell of a table."""
    text = re.sub(r":\w+:`~?([^`<]+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")
