"""The demo: a backdoor in a model of real handwritten digits, behind a defense that stops it and one that does not.

It is an example, no ranking. Data, models, target class and known rows are those of the arena's board of digits, and
the attack is the first of the arena's page. The defenses are of its line-up. They were chosen because one stops the
attack and one does not, after the first choice, the cheap one that leaves least on the arena's page, had not stopped
it: CONTRIBUTING.md says what had been seen when.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.lineup import ATTACKS, BOARDS, DEFENSES
from vfl_jax.cli.story import Side, tell
from vfl_jax.core.extras import extra
from vfl_jax.core.words import duration
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Over

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

ATTACK = "BASL-30"
"""The strongest attack of the arena's page."""
LEAST, MOST = "VFLIP", "EmbeddingDropout"
"""A defense that stops the attack, and one that does not."""
NEVER = 1e6
"""So many deviations from the mean no row has: VFLIP is off."""
NUMBERS = {"none": (NEVER, 0.0), LEAST: (3.0, 0.0), MOST: (NEVER, 0.5)}
"""VFLIP's deviations and the rate of dropout, by the defense that is on."""
SWITCH, LEVELS = "attack.enabled", ("defense.deviations", "defense.rate")
SUCCESS, MAIN = "full_attack_success", "full_clean_accuracy"
FEWEST_EPOCHS = 5
"""With fewer the attack has no two places to begin at."""
RULE = (
    f"An example, no ranking: on digits {ATTACK}, the strongest attack of the arena's page so far, "
    "meets two affordable defenses that were chosen because one stops it and one does not. "
    "EmbeddingNormalisation, tried first because that page has it first of the cheap ones, left 71 % of attacked rows."
)


def demo_scenario(board: Board, epochs: int) -> Scenario:
    """The attack behind both defenses, in one scenario whose numbers switch them.

    Args:
      board: the arena's board of digits.
      epochs: how many epochs it is trained for.
    """
    given = ATTACKS[ATTACK]
    attack = given(epochs) if callable(given) else given
    assert isinstance(attack, PartyTransform)  # this one is granted what it says itself, so it is no pair
    return board.meeting(attack, ActiveChain(parts=(DEFENSES[LEAST], DEFENSES[MOST])))


def demo(seeds: int, epochs: int, out: Path) -> None:
    """Trains honest and attacked models; prints what they show in three sentences, and writes results and a picture.

    Args:
      seeds: how many seeds every setting is trained with.
      epochs: how many epochs, at least 5.
      out: the folder of results and the picture.

    Raises:
      ValueError: where ``seeds`` or ``epochs`` is no such number.
      MissingExtra: where Matplotlib or scikit-learn is not installed.
      OSError: where a file cannot be written.
    """
    from vfl_jax import reports
    from vfl_jax.core.atomic import write_atomically
    from vfl_jax.core.files import save
    from vfl_jax.sweeps.sweep import sweep

    with extra("sklearn,plots", "The demo"):
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401
    if epochs < FEWEST_EPOCHS:
        raise ValueError(f"--epochs is {epochs}; the demo's attack needs at least {FEWEST_EPOCHS}.")
    console = reports.console()
    board = BOARDS["digits"]()
    over: Over = {SWITCH: [0, 1], LEVELS: list(NUMBERS.values())}
    began = time.monotonic()
    results = sweep(demo_scenario(board, epochs), board.data, over, seeds, epochs, evaluate_every=epochs)
    seconds = time.monotonic() - began
    save(results, out / "demo.nc")
    sides = sides_of(results)
    target = f"the digit {board.data.classes[board.scenario.poison.target_class]}"
    sentences = tell(target, sides["none"], {name: side for name, side in sides.items() if name != "none"})
    write_atomically(out / "demo.png", functools.partial(draw(sides, target).savefig, format="png"))

    attacker = board.data.parties[board.attackers[0]]
    known = demo_scenario(board, epochs).poison.num_targets
    console.print(
        f"\n{board.data.num_parties} parties hold halves of {board.data.train.num_samples:,} images of digits. "
        f"One of them, {attacker}, is malicious: it knows {known} images of {target}, and sends what it likes "
        "in place of its embeddings.\n",
        highlight=False,
    )
    for number, sentence in enumerate(sentences, 1):
        console.print(f"{number}. {sentence}", highlight=False)
    console.print()
    console.print(reports.to_terminal(table(sides), f"{seeds} seeds, {epochs} epochs: medians, least and most"))
    console.print(f"{RULE} Percentages are medians over seeds.", style="dim", highlight=False)
    console.print(f"Training took {duration(seconds)}. The picture is {out / 'demo.png'}.", highlight=False)


def sides_of(results: xr.Dataset) -> dict[str, Side]:
    """What every setting shows, by the name of its defense.

    Args:
      results: of the demo's sweep.
    """
    last = results.isel(epoch=-1)
    honest, attacked = last.sel({SWITCH: 0}), last.sel({SWITCH: 1})
    level = "+".join(LEVELS)
    return {
        name: Side(
            *(
                np.asarray(part[variable].isel({level: i}))
                for part, variable in ((attacked, SUCCESS), (honest, SUCCESS), (honest, MAIN), (attacked, MAIN))
            )
        )
        for i, name in enumerate(NUMBERS)
    }


def table(sides: dict[str, Side]) -> list[dict[str, str]]:
    """The numbers behind the sentences, a row per setting.

    Args:
      sides: as :func:`sides_of` gives them.
    """
    return [
        {
            "defense": name,
            "attack success": _with_range(side.success),
            "clean floor": _with_range(side.floor),
            "main accuracy, honest": _with_range(side.main),
            "attacked": _with_range(side.attacked),
            "backdoors": f"{side.backdoors()}/{len(side.success)}",
        }
        for name, side in sides.items()
    ]


def _with_range(values: np.ndarray) -> str:
    """A median, with the least and the most of the seeds."""
    return f"{np.median(values):z.2f} [{values.min():z.2f}, {values.max():z.2f}]"


def draw(sides: dict[str, Side], target: str) -> Figure:
    """The picture: every seed's attack success beside its honest run's, without a defense and behind both.

    Args:
      sides: as :func:`sides_of` gives them.
      target: the target class, in words.
    """
    from vfl_jax.plots.panels import COLORS, grid_of_panels

    figure, panels = grid_of_panels(1, 1, None, size=(7.2, 4.2))
    panel = panels[0, 0]
    for place, side in enumerate(sides.values()):
        spread = np.linspace(-0.08, 0.08, len(side.success))
        for shift, values, color, name in (
            (-0.15, side.floor, COLORS[0], "honest run"),
            (0.15, side.success, COLORS[1], "attacked run"),
        ):
            panel.scatter(place + shift + spread, values, s=28, color=color, label=name if place == 0 else None)
            panel.hlines(np.median(values), place + shift - 0.12, place + shift + 0.12, color=color)
    panel.set_xticks(
        range(len(sides)),
        [
            f"{'no defense' if name == 'none' else name}\nmain accuracy {np.median(side.main):z.2f}"
            for name, side in sides.items()
        ],
    )
    panel.set_ylim(-0.04, 1.04)
    panel.set_xlim(-0.5, len(sides) - 0.5)
    panel.set_ylabel(f"other digits taken for {target}, share")
    panel.set_title(f"{ATTACK} on handwritten digits: a dot per seed, lines are medians", fontsize=10)
    panel.legend(loc="center right", frameon=False)
    panel.grid(axis="y", alpha=0.3)
    return figure
