"""The page of the attacker who knows the head, written from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.known_head.cases import DATA
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.arenas.holding import HOLDS_WITHIN
from vfl_jax.arenas.lineup import NOT_PUBLISHED
from vfl_jax.arenas.standings import SUCCESS
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load
from vfl_jax.core.words import counted
from vfl_jax.plots.panels import COLORS, grid_of_panels
from vfl_jax.reports import Row, to_markdown
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST, KEEPS

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
Tried = Mapping[str, Mapping[str, tuple[float, str]]]
ARENA = README.parents[1] / "arena" / "results"
KINDS = {
    "one message, of honest length": ("one", "honest"),
    "one, up to 100 times as long": ("one", "hundredfold"),
    "a row's own, of honest length": ("each", "honest"),
    "a row's own, up to 100 times": ("each", "hundredfold"),
}
"""The columns of the table, each with its variable and its size."""
NOTE = """\
Means over seeds of the share of test rows of other classes that are predicted as τ; in brackets the lowest and the
highest seed. *Tried*: the strongest attack that met the defense in the arena, by its mean attack success. A message is
of honest length where it is no longer than the longest that the party sends of a training row; its entries may be
negative, which an honest party's are not. A search may miss the best message: better ones may exist. *Main* is the
accuracy of honest runs. In brackets stand defenses that cost more than ten percentage points of it, or leave less than
half of what is known beyond the most frequent class: they stop the task.
"""


def write_report(folder: Path) -> None:
    """Writes the answer, the figure and the table into README.md, or beside other results than the committed ones.

    Args:
      folder: that of results.

    Raises:
      FileNotFoundError: where it has none.
    """
    found = {name: load(path) for name in (*DATA, *NOT_PUBLISHED) if (path := folder / f"{name}.nc").is_file()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    tried = {name: strongest_tried(name) for name in found}
    picture = add_picture(folder, "known_head", figure(found, tried), "what the best messages reach, by board")
    table = [row(name, results, it, tried) for name, results in found.items() for it in results["defense"].values]
    lacking = [name for name in DATA if name not in found]
    parts = [to_markdown(table), *([f"**Not trained yet**: {', '.join(lacking)}.\n"] if lacking else []), NOTE]
    write_tables(README, folder, "\n".join(parts), f"{answer(found, tried)}\n{picture}")


def answer(found: Mapping[str, xr.Dataset], tried: Tried) -> str:
    """Where hardly any message gets through, and how much more is possible than the arena's attacks reach.

    Args:
      found: the results by board.
      tried: by board and defense, the strongest attack of the arena.
    """
    cells = [(name, it) for name, results in found.items() for it in results["defense"].values]
    spared = [(name, it) for name, it in cells if is_spared(found[name], it)]
    closed = [
        (name, it)
        for name, it in spared
        if all(_rise(found[name], it, kind, size) <= HOLDS_WITHIN for kind, size in KINDS.values())
    ]
    through = [(name, it) for name, it in spared if _rise(found[name], it, "one", "honest") > HOLDS_WITHIN]
    met = [(name, it) for name, it in through if it in tried[name]]
    mostly = [
        (name, it) for name, it in through if np.mean(_rises(found[name], it, "one", "honest") > HOLDS_WITHIN) > 0.5
    ]
    more = [
        (name, it)
        for name, it in met
        if float(found[name]["one"].sel(defense=it, size="honest").mean()) > tried[name][it][0] + HOLDS_WITHIN
    ]
    points, where = f"{100 * HOLDS_WITHIN:g} percentage points", ", ".join(f"{it} on {name}" for name, it in closed)
    of_spared, of_closed = counted(len(spared), "cell"), counted(len(closed), "cell")
    return (
        f"**An attacker who knows the trained model finds one message of honest length that gets through in "
        f"{len(through)} of {of_spared}**, in {len(mostly)} of them in most seeds. A cell is a board under a defense "
        f"that spares the model, or under none; a message gets through that leads {points} more of the rows of other "
        f"classes to τ than honest runs do, in the mean over seeds. In {len(more)} of these it leads {points} more "
        f"than the strongest attack of the arena. In {of_closed} no message that the search found gets through, not "
        f"even a row's own, of any length tried{f': {where}' if where else ''}. All training is honest here; an "
        "attacker who changes it may do more.\n"
    )


def is_spared(results: xr.Dataset, defense: str) -> bool:
    """Whether a defense leaves the task, by the arena's rule, in every seed.

    Args:
      results: those of a board.
      defense: its name.
    """
    main, undefended = (results["main"].sel(size="honest", defense=it).values for it in (defense, UNDEFENDED))
    majority = float(results["majority"])
    is_useful = main - majority >= KEEPS * (undefended - majority)
    is_finite = np.isfinite(results["one"].sel(defense=defense)).all()
    return bool((is_useful & (undefended - main <= DEFENSE_LOSS_AT_MOST)).all() and is_finite)


def row(name: str, results: xr.Dataset, defense: str, tried: Tried) -> Row:
    """One board under one defense.

    Args:
      name: the board.
      results: those of the board.
      defense: its name.
      tried: by board and defense, the strongest attack of the arena.
    """
    cell, of_arena = results.sel(defense=defense), tried[name].get(str(defense))
    found: Row = {"board": name, "defense": str(defense) if is_spared(results, defense) else f"({defense})"}
    found |= {"main": f"{float(cell['main'].mean()):z.2f}", "floor": f"{float(cell['honest'].mean()):z.2f}"}
    found |= {"tried": f"{of_arena[0]:z.2f}, {of_arena[1]}" if of_arena else "–"}
    return found | {title: _mean(cell[kind].sel(size=size)) for title, (kind, size) in KINDS.items()}


def strongest_tried(name: str) -> dict[str, tuple[float, str]]:
    """The arena's strongest attack on each defense that met somebody on a board: its mean attack success, its name.

    Args:
      name: the board; where the arena has no results of it, nothing is found.
    """
    path, found = ARENA / f"{name}.nc", {}
    if path.is_file():
        means = load(path)[SUCCESS].isel(data=0).mean("seed")
        for defense in means["defense"].values:
            met = means.sel(defense=defense).dropna("attack")
            if met.size:
                best = met.isel(attack=int(met.values.argmax()))
                found[str(defense)] = float(best), str(best["attack"].item())
    return found


def _mean(shares: xr.DataArray) -> str:
    """A mean over seeds, and in brackets the lowest and the highest; a dash where a training diverged."""
    if not np.isfinite(shares).all():
        return "–"
    return f"{float(shares.mean()):z.2f} ({float(shares.min()):z.2f} to {float(shares.max()):z.2f})"


def _rise(results: xr.Dataset, defense: str, kind: str, size: str) -> float:
    """How far a share lies above the honest runs', mean over seeds."""
    return float(_rises(results, defense, kind, size).mean())


def _rises(results: xr.Dataset, defense: str, kind: str, size: str) -> np.ndarray:
    """How far a share lies above the honest runs', by seed."""
    cell = results.sel(defense=defense, size=size)
    return np.asarray(cell[kind] - cell["honest"])


def figure(found: Mapping[str, xr.Dataset], tried: Tried) -> Figure:
    """A panel per board: what each kind of message reaches under every defense, beside the strongest attack tried.

    Args:
      found: the results by board.
      tried: by board and defense, the strongest attack of the arena.
    """
    whole, panels = grid_of_panels(1, len(found), None)
    whole.set_size_inches(2.2 + 1.6 * len(found), 2.6)
    for column, (name, results) in enumerate(found.items()):
        panel, defenses = panels[0, column], [str(it) for it in results["defense"].values]
        for i, (title, (kind, size)) in enumerate(KINDS.items()):
            reached = results[kind].sel(size=size).mean("seed").values
            panel.plot(reached, np.arange(len(defenses)) + 0.12 * (i - 1.5), "o", ms=4, color=COLORS[i], label=title)
        known = [tried[name][it][0] if it in tried[name] else np.nan for it in defenses]
        panel.plot(known, range(len(defenses)), "|", ms=16, color="black", label="the strongest attack tried")
        panel.set(yticks=range(len(defenses)), xlim=(-0.06, 1.06), ylim=(len(defenses) - 0.5, -0.5))
        panel.set_xticks((0, 0.5, 1), ("0", "½", "1"))
        panel.set_xlabel("rows led to τ")
        panel.set_yticklabels(defenses if column == 0 else [])
        panel.set_title(name, fontsize=9)
        panel.grid(axis="x", alpha=0.3)
    panels[0, -1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return whole
