"""What the command says of itself: what to do first, its subcommands and presets. It needs no JAX."""

from __future__ import annotations

import functools
import importlib.metadata
import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

OWN, FILE = "own", "file"
"""The words in the place of a preset for your own data, and for a scenario from a file."""

PRESET_LINES = {
    "digits_demo-sum": "8×8 digits, sum head: needs no files",
    "digits_demo-trainable": "the same, trainable head",
    "liu2020_paper-sum": "Liu et al. 2020, the text; MNIST, sum head",
    "liu2020_paper-trainable": "the same, trainable head",
    "liu2020_code-sum": "Liu et al. 2020, the authors' run; MNIST",
    "liu2020_code-trainable": "the same, trainable head",
    "zou2022": "Zou et al. 2022, a stronger attack; MNIST",
    "liu2020_paper-nus_wide-sum": "the text on NUS-WIDE's twin, sum head",
    "liu2020_paper-nus_wide-trainable": "the same, trainable head",
    "liu2020_code-nus_wide-sum": "the authors' run on the twin, sum head",
    "liu2020_code-nus_wide-trainable": "the same, trainable head",
    "zou2022-nus_wide": "Zou et al. 2022 on the twin",
    OWN: "fits your data: --table …, or --data NAME",
    "FILE.toml": "a scenario that --save-scenario wrote (or FILE.json)",
}
"""What every preset of the command is, in a line."""

EXAMPLES = {
    "a backdoor and a defense against it, on real digits, in seconds": (
        "vfl-jax sweep digits_demo-sum --over attack.enabled=0,1",
        "    --defense GaussianNoise --over defense.stddev=0,0.01",
    ),
    "the same on two tables of your own": (
        "vfl-jax sweep own --table bank=a.csv --table shop=b.csv --id id",
        "    --label bank.y --stamp shop.spent=4 --over attack.enabled=0,1",
    ),
}
"""Two commands by what they do."""

FIRST = """\
Train, attack and defend vertical federated models.

First:  vfl-jax demo      attacks and defends a model of handwritten digits
        vfl-jax --help    two examples, all subcommands and presets
        vfl-jax doctor    what of this machine works, and what is missing"""
MORE = {
    "vfl-jax run PRESET --help": "its flags; --help-all: of its every field",
    "vfl-jax paths PRESET": "the numbers that --set and --over name",
    "vfl-jax --version": "the version",
}
HELP = ("-h", "--help", "--help-all")
"""The words that ask for help."""


def page(words: list[str], plugged: Mapping[str, str]) -> str | None:
    """The text for words that ask for the version, or for help that is not of one preset; None for all others.

    Args:
      words: the words after ``vfl-jax``.
      plugged: the lines of presets of plug-ins, by name.

    Example:
      >>> page(["--version"], {}) == f"vfl-jax {version()}"
      True
    """
    if not words:
        return FIRST
    if words == ["--version"]:
        return f"vfl-jax {version()}"
    others = [word for word in words if word not in HELP]
    if not others:
        return overview(plugged)
    return presets_of(others[0], plugged) if others in (["run"], ["sweep"]) else None


def overview(plugged: Mapping[str, str]) -> str:
    """The help of the command: two examples, subcommands and presets with a line each.

    Args:
      plugged: the lines of presets of plug-ins, by name.
    """
    from vfl_jax.cli.subcommands import SUBCOMMANDS

    lines: list[str] = []
    for what, example in EXAMPLES.items():
        lines += [f"  # {what}", *" \\\n".join(f"  {line}" for line in example).splitlines(), ""]
    lines += ["usage: vfl-jax SUBCOMMAND [FLAGS]", ""]
    about = {name: first_paragraph(kind) for name, kind in SUBCOMMANDS.items()}
    lines += ["subcommands:", *_listed(about), "", "presets, for run and sweep:"]
    lines += [*_listed({**PRESET_LINES, **plugged}), "", "more:", *_listed(MORE)]
    return "\n".join(lines)


def presets_of(subcommand: str, plugged: Mapping[str, str]) -> str:
    """The help of ``run`` or ``sweep``: presets with a line each.

    Args:
      subcommand: "run" or "sweep".
      plugged: the lines of presets of plug-ins, by name.
    """
    from vfl_jax.cli.subcommands import SUBCOMMANDS

    lines = [
        f"usage: vfl-jax {subcommand} PRESET [FLAGS]",
        "",
        first_paragraph(SUBCOMMANDS[subcommand]),
        "",
        "presets:",
    ]
    lines += [*_listed({**PRESET_LINES, **plugged}), ""]
    return "\n".join([*lines, f"vfl-jax {subcommand} PRESET --help shows the flags; --help-all those of every field."])


def version() -> str:
    """The version of the package that is installed, as ``pyproject.toml`` says it."""
    return importlib.metadata.version("vfl_jax")


def first_paragraph(about: Any) -> str:
    """The first paragraph of a docstring, which says what a class or function is; empty where there is none.

    Args:
      about: a class, a function, or a partial one.
    """
    described = about.func if isinstance(about, functools.partial) else about
    first = (described.__doc__ or "").strip().split("\n\n")[0]
    if first.startswith(f"{getattr(described, '__name__', '')}("):  # made by dataclasses, out of the names of fields
        return ""
    return " ".join(first.replace("``", "").split())


def _listed(lines: Mapping[str, str]) -> list[str]:
    """Names and what they mean, in two columns of the terminal's width."""
    width = max(60, min(100, shutil.get_terminal_size().columns))
    indent = min(max(map(len, lines)), 33) + 4
    listed: list[str] = []
    for name, line in lines.items():
        wrapped = textwrap.wrap(line, width - indent) or [""]
        if len(name) > indent - 4:
            listed.append(f"  {name}")
        else:
            wrapped[0] = f"  {name:{indent - 4}}  {wrapped[0]}"
        listed += [text if text.startswith(f"  {name}") else " " * indent + text for text in wrapped]
    return listed
