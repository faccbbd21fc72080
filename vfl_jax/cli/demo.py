"""The demo: it attacks and defends a model of real handwritten digits in about a minute on two cores."""

from __future__ import annotations

import functools
from pathlib import Path

from vfl_jax.attacks import ActivationBlurring, GradientReplacement, LabelReplacement
from vfl_jax.core.extras import extra
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.presets import HeadName, digits_demo
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Over

ATTACKS = {"honest": (0, 0), "gradient replacement": (1, 0), "label replacement": (0, 1)}
"""The switches of gradient and label replacement by the label of the attack."""
DEFENSES = {
    "none": (0.0, 0.0),
    "Gaussian noise": (0.0, 0.005),
    "sparsification": (0.95, 0.0),
    "both": (0.95, 0.005),
}
"""The drop rate and the noise stddev by the label of the defense; the paper's authors tried such levels on MNIST."""
ATTACK_PATHS = ("attacks.1.parts.0.enabled", "attacks.1.parts.1.enabled", "attacks.1.parts.2.enabled")
DEFENSE_PATHS = ("defense.drop_rate", "defense.stddev")


def demo_scenario(head: HeadName) -> Scenario:
    """Both attacks of the paper's passive party and two of its defenses, in one scenario whose numbers switch them.

    Args:
      head: "sum" or "trainable".
    """
    blurring = ActivationBlurring(kind="gaussian" if head == "trainable" else "none", wait_for_target=False)
    attacker = PartyChain(parts=(blurring, GradientReplacement(), LabelReplacement()))
    scenario = digits_demo(head=head)
    return scenario.replace(
        attacks=(scenario.attacks[0], attacker), defense=ActiveChain(parts=(Sparsification(), GaussianNoise()))
    )


def demo(seeds: int, epochs: int, out: Path) -> None:
    """Trains honest and attacked models with and without defenses. Prints tables, and writes results and figures.

    Args:
      seeds: how many seeds every grid point is trained with.
      epochs: how many epochs, at least 1.
      out: the folder of results and figures.

    Raises:
      ValueError: where ``seeds`` or ``epochs`` is no such number.
      OSError: where a file cannot be written.
    """
    from vfl_jax import plots, reports
    from vfl_jax.core.atomic import write_atomically
    from vfl_jax.core.files import save
    from vfl_jax.data import load_digits
    from vfl_jax.sweeps.sweep import sweep

    with extra("sklearn,plots", "The demo"):
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401  before anything is trained

    console = reports.console()
    data = load_digits()
    heads: tuple[HeadName, ...] = ("sum", "trainable")
    for head in heads:
        replicas = seeds * len(ATTACKS) * len(DEFENSES)
        console.print(f"\n[bold]{head} head[/bold]: {replicas} replicas in one program")
        # Blurring goes with gradient replacement.
        over: Over = {
            ATTACK_PATHS: [(gradient, gradient, label) for gradient, label in ATTACKS.values()],
            DEFENSE_PATHS: list(DEFENSES.values()),
        }
        dataset = sweep(demo_scenario(head), data, over, seeds=seeds, epochs=epochs)
        save(dataset, out / f"{head}_head.nc")
        labels = [(attack, defense) for attack in ATTACKS for defense in DEFENSES]
        table = [
            {"attack": attack, "defense": defense} | {k: v for k, v in row.items() if "." not in k}
            for (attack, defense), row in zip(labels, reports.rows(dataset, main="main_clean"), strict=True)
        ]
        console.print(reports.to_terminal(table, f"{head} head, {seeds} seeds, {epochs} epochs"))
        for i, defense in enumerate(DEFENSES):
            chosen = dataset.isel({"+".join(DEFENSE_PATHS): i})
            runs = {attack: chosen.isel({"+".join(ATTACK_PATHS): j}) for j, attack in enumerate(ATTACKS)}
            figure = plots.curves(runs, ("main_clean", "attack_success_rate"), title=f"{head} head, defense: {defense}")
            name = f"{head}_head_{defense.replace(' ', '_')}.png"
            write_atomically(out / name, functools.partial(figure.savefig, format="png"))
    console.print(reports.note(table), style="dim")
    console.print("Main accuracy is that of the untriggered rows here: one test row in five is triggered.", style="dim")
    console.print(f"Results and figures are in {out}/.", highlight=False)
