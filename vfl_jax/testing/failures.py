"""The error that says which check a method fails, and what to do."""

from __future__ import annotations

from typing import Literal

Kind = Literal["hook", "form", "purity", "neutrality", "json", "sweep", "arrays", "frames", "loads", "hidden", "flow"]


class CheckFailed(AssertionError):
    """A method breaks a promise of all methods.

    Args:
      kind: the promise: "hook" (a hook runs when it is compiled), "form", "purity", "neutrality", "json", "sweep";
        "arrays" (a hook holds no arrays), "frames" (it reads no frames and nothing behind a function), "loads" (it
        loads nothing), "hidden" (it leaves nothing outside its state), "flow" (it learns nothing but what it is sent).
      where: the method, and the hook where one is known, such as "Mine.on_upload".
      message: what was found, and what to do.
    """

    def __init__(self, kind: Kind, where: str, message: str) -> None:
        super().__init__(f"{where} {message} [check: {kind}]")
        self.kind = kind
        self.where = where
