"""What a check of a method looked at, and what it did not."""

from __future__ import annotations

import dataclasses
import textwrap

WIDTH = 80


@dataclasses.dataclass(frozen=True, repr=False)
class Checked:
    """What :func:`check_method` found of a method that keeps its promises.

    Args:
      method: the name of the method's class.
      passed: the checks that it passed, of "source", "JSON", "hooks", "flow", "neutrality" and "grids".
      skipped: what was not checked, each with its reason, such as "grids: it has no numbers".
      remarks: what breaks no promise, and may all the same be a mistake.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.testing.check_method(vfl.defenses.Clipping, runs=False)
      Clipping passed: source, JSON, hooks.
        Skipped: flow, neutrality, grids: runs=False compiles no whole run.
    """

    method: str
    passed: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"{self.method} passed: {', '.join(self.passed)}."]
        lines += [f"Skipped: {reason}" for reason in self.skipped]
        lines += [f"Remark: {remark}" for remark in self.remarks]
        first, *others = (line if line.endswith(".") else f"{line}." for line in lines)
        wrapped = [textwrap.fill(first, WIDTH, subsequent_indent="    ")]
        wrapped += [
            textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
            for line in others
        ]
        return "\n".join(wrapped)
