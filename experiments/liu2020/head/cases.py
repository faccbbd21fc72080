"""The trainable head as a defense: Figure 5 and Table 2, heads of one to four hidden layers, and who knows the head."""

from __future__ import annotations

import dataclasses

from experiments.shared.cases import HONEST_AND_ATTACKED, PRESETS, Case
from vfl_jax.attacks import ActivationBlurring, FreshReplacement
from vfl_jax.models import DenseHead
from vfl_jax.presets import Task, liu2020_code
from vfl_jax.protocol.chains import PartyChain

TASKS: tuple[Task, ...] = ("mnist", "nus_wide")
DEPTHS = (2, 3, 4)
"""Hidden layers of the head beyond the paper's one."""


def case_name(preset: str, task: Task, depth: int = 1) -> str:
    """Of the case with so many hidden layers in the head."""
    return f"{preset}_{task}" if depth == 1 else f"{preset}_{task}_depth_{depth}"


def _case(preset: str, task: Task, depth: int) -> Case:
    scenario = PRESETS[preset](head="trainable", task=task)
    return Case(
        name=case_name(preset, task, depth),
        title=f"{preset}, {task}, trainable head of {depth} hidden layer{'s' if depth > 1 else ''}",
        task=task,
        scenario=scenario.replace(head=DenseHead(hidden=(32,) * depth)),
        over=HONEST_AND_ATTACKED,
    )


FRESH = PartyChain(parts=(ActivationBlurring(kind="zero"), FreshReplacement()))
"""The authors' blurring, and in place of a recorded gradient a fresh one of a row that is found to be of τ."""


@dataclasses.dataclass(frozen=True)
class KnowsTheHead(Case):
    """A case on MNIST's trainable head: whether the known rows of τ are drawn per seed, how many, and who attacks."""

    rows: str = ""
    attacker: str = ""


def _knows_the_head(num_drawn: int, is_fresh: bool, is_shuffled: bool = False) -> KnowsTheHead:
    """With 0 drawn rows the one known row is that of the authors' code, and the poison rows are those of their list.

    Batches are in the order of the data, as in the authors' code, or shuffled in every epoch.
    """
    scenario = liu2020_code(head="trainable", task="mnist")
    rows, name = "the authors' one", "liu2020_code_mnist"
    if num_drawn:
        plan = scenario.poison.replace(draw="per_seed", target_ids=None, num_targets=num_drawn)
        scenario = scenario.replace(poison=plan)
        rows, name = f"{num_drawn} drawn", f"{name}_drawn_{num_drawn}"
    if is_fresh:
        scenario, name = scenario.replace(attacks=(scenario.attacks[0], FRESH)), f"{name}_fresh"
    if is_shuffled:
        scenario = scenario.replace(batches=scenario.batches.replace(order="shuffled"))
        rows, name = f"{rows}, shuffled batches", f"{name}_shuffled"
    attacker = "fresh gradients" if is_fresh else "the paper's"
    title = f"liu2020_code, mnist, trainable head, known rows: {rows}, attacker: {attacker}"
    return KnowsTheHead(name, title, "mnist", scenario, rows=rows, attacker=attacker)


KNOWN = ((0, True), (1, False), (1, True), (100, False), (100, True), (3000, True), (3000, True, True))
KNOWS_THE_HEAD = tuple(_knows_the_head(*of) for of in KNOWN)
CASES = (
    *(_case(preset, task, 1) for task in TASKS for preset in PRESETS),
    *(_case(preset, task, depth) for preset in PRESETS for task in TASKS for depth in DEPTHS),
    *KNOWS_THE_HEAD,
)
