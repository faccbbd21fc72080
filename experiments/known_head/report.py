"""The page of the attacker who knows the head, written from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.known_head.cases import DATA
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.arenas.holding import HOLDS_WITHIN
from vfl_jax.arenas.standings import SUCCESS
from vfl_jax.core.files import load
from vfl_jax.plots.panels import COLORS, grid_of_panels
from vfl_jax.reports import Row, to_markdown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
ARENA = README.parents[1] / "arena" / "results"
KINDS = {
    "one ordinary message": ("one", "ordinary"),
    "one of any size": ("one", "any"),
    "each row its own, ordinary": ("each", "ordinary"),
    "each its own, any size": ("each", "any"),
}
"""The columns of the table, each with its variable and its size."""
NOTE = """\
Means over seeds of the share of test rows of other classes that are predicted as τ; in brackets the lowest and the
highest seed. *Tried*: the strongest attack that met the defense in the arena, by its mean attack success. A message is
*ordinary* where it is no longer than the longest that the party sends of a training row, and of any size up to a
hundred times that. A search may miss the best message, so that these are shares that an attacker reaches at least.
"""


def write_report(folder: Path) -> None:
    """Writes the answer, the figure and the table into README.md, or beside other results than the committed ones."""
    found = {path.stem: load(path) for name in (*DATA, "digits") if (path := folder / f"{name}.nc").is_file()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    picture = add_picture(folder, "known_head", figure(found), "what the best messages reach, by board and defense")
    table = [row(name, results.sel(defense=it)) for name, results in found.items() for it in results["defense"].values]
    lacking = [name for name in DATA if name not in found]
    parts = [to_markdown(table), *([f"**Not trained yet**: {', '.join(lacking)}.\n"] if lacking else []), NOTE]
    write_tables(README, folder, "\n".join(parts), f"{answer(found)}\n{picture}")


def answer(found: Mapping[str, xr.Dataset]) -> str:
    """Where no message that was found gets through, and how much more is possible than the arena's attacks reach.

    Args:
      found: the results by board.
    """
    cells = [(name, results.sel(defense=it)) for name, results in found.items() for it in results["defense"].values]
    closed = [cell for _, cell in cells if _rise(cell["each"].max("size"), cell) <= HOLDS_WITHIN]
    through = [cell for _, cell in cells if _rise(cell["one"].sel(size="ordinary"), cell) > HOLDS_WITHIN]
    known = [(float(cell["one"].sel(size="ordinary").mean("seed")), _tried(name, cell)) for name, cell in cells]
    more = sum(reached > tried[0] + HOLDS_WITHIN for reached, tried in known if tried)
    names = [f"{cell['defense'].item()} on {name}" for name, cell in cells if any(cell is it for it in closed)]
    where, points = f": {', '.join(names)}" if names else "", f"{100 * HOLDS_WITHIN:g} percentage points"
    return (
        f"**An attacker who knows the trained model finds one message of ordinary size that gets through in "
        f"{len(through)} of {len(cells)} cells.** A cell is a board under a defense; a message gets through that leads "
        f"{points} more of the rows of other classes to τ than honest runs do. In {len(closed)} cells no message was "
        f"found that does, of any size, not even one for each row{where}. In {more} cells one ordinary message leads "
        f"over {points} more than the strongest attack of the arena.\n"
    )


def row(name: str, cell: xr.Dataset) -> Row:
    """One board under one defense.

    Args:
      name: the board.
      cell: its results under the defense.
    """
    known = _tried(name, cell)
    of_size = cell.sel(size="ordinary")
    found: Row = {"board": name, "defense": str(cell["defense"].item()), "honest runs": _mean(of_size["honest"])}
    found |= {"tried": f"{known[0]:z.2f}, {known[1]}" if known else "–"}
    return found | {title: _mean(cell[kind].sel(size=size)) for title, (kind, size) in KINDS.items()}


def _mean(shares: xr.DataArray) -> str:
    """A mean over seeds, and in brackets the lowest and the highest."""
    return f"{float(shares.mean()):z.2f} ({float(shares.min()):z.2f} to {float(shares.max()):z.2f})"


def _rise(share: xr.DataArray, cell: xr.Dataset) -> float:
    """How far a share lies above the honest runs', mean over seeds."""
    return float((share - cell["honest"].sel(size="ordinary")).mean("seed"))


def _tried(name: str, cell: xr.Dataset) -> tuple[float, str] | None:
    """The mean attack success of the arena's strongest attack in a cell, and its name; None where nobody met there."""
    path, defense = ARENA / f"{name}.nc", cell["defense"].item()
    if not path.is_file() or defense not in (board := load(path))["defense"]:
        return None
    means = board[SUCCESS].isel(data=0).sel(defense=defense).mean("seed").dropna("attack")
    best = means.isel(attack=int(means.values.argmax()))
    return float(best), str(best["attack"].item())


def figure(found: Mapping[str, xr.Dataset]) -> Figure:
    """A panel per board: what each kind of message reaches under every defense, beside the strongest attack tried.

    Args:
      found: the results by board.
    """
    whole, panels = grid_of_panels(1, len(found), None)
    whole.set_size_inches(1.5 + 1.7 * len(found), 2.6)
    for column, (name, results) in enumerate(found.items()):
        panel, defenses = panels[0, column], [str(it) for it in results["defense"].values]
        for i, (title, (kind, size)) in enumerate(KINDS.items()):
            reached = results[kind].sel(size=size).mean("seed").values
            panel.plot(reached, np.arange(len(defenses)) + 0.12 * (i - 1.5), "o", ms=4, color=COLORS[i], label=title)
        known = [_tried(name, results.sel(defense=it)) for it in defenses]
        tried = [value[0] if value else np.nan for value in known]
        panel.plot(tried, range(len(defenses)), "|", ms=16, color="black", label="the strongest attack tried")
        panel.set(yticks=range(len(defenses)), xlim=(-0.04, 1.04), ylim=(len(defenses) - 0.5, -0.5))
        panel.set_xlabel("rows led to τ")
        panel.set_yticklabels(defenses if column == 0 else [])
        panel.set_title(name, fontsize=9)
        panel.grid(axis="x", alpha=0.3)
    panels[0, -1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return whole
