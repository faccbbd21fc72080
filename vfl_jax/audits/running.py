"""An audit: it derives the setting, lets a partner read and plant, and tries defenses, and aims at a given time."""

from __future__ import annotations

import warnings

import numpy as np

from vfl_jax.audits.clock import Clock
from vfl_jax.audits.result import Audit
from vfl_jax.audits.rounds import Running
from vfl_jax.audits.setting import largest_party, subsample
from vfl_jax.core.checks import check_choice, check_count, check_kind, is_number, place_of, shown
from vfl_jax.core.extras import extra
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.presets.common import HeadName
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.work import Source, load

FEWEST_SEEDS = 10
"""An audit has at least so many seeds: of fewer the intervals are too narrow."""
EPOCHS = 20
ROWS = 3000
"""So many training rows are used at most, and half as many test rows."""
FEWEST_TRAINING_ROWS = 100
"""Of fewer training rows an audit tells nothing."""


def audit(
    data: Source,
    *,
    attacker: str | int | None = None,
    minutes: float = 10.0,
    seeds: int = 10,
    head: HeadName = "trainable",
    epochs: int = EPOCHS,
    rows: int = ROWS,
    progress: bool = True,
    command: str = "",
) -> Audit:
    """Finds out what a malicious partner could do with your data, and which defenses would stop it.

    Everything is derived from the data. Every party has one layer of width 32 under a trainable head (or the bottoms
    of the sum head). Honest runs, whose seeds are not reported, choose the learning rate and the trigger, and measure
    how large messages are: levels of noise and bounds are multiples of that. Then, most important first:

    1. Readers of labels listen to honest trainings behind every defense; these runs also say what defenses cost.
    2. Attacks that send other embeddings or stamp rows plant a backdoor, behind every defense.
    3. Attacks that replace gradients do so, and an attack that learns its trigger.

    Defenses come in rounds of three, the most important first; in a round every reader and every attack meets each of
    them. What is to run, and about how long it takes, is said before it starts. Where the time is short, fewer rounds
    are run, and where even one is too long, fewer attacks; the report says which. Nothing begins that would not end
    in time, as far as what ran before it tells; but what has begun ends first, and the readers always run, so that an
    audit may take longer than it was given. Seeds are never fewer.

    Args:
      data: the data set, the result of ``load_tables``, or a function without arguments that returns either.
      attacker: the malicious party, by name or number. By default it is the one with the most features among those
        that lack the labels.
      minutes: the time that the audit aims at, above 0; what has begun ends first.
      seeds: how many seeds every number has, at least 10.
      head: "trainable" or "sum".
      epochs: the number of epochs of every training.
      rows: the largest number of training rows that are used, drawn alike in all classes; of
        test rows half as many.
      progress: whether to say on the error stream what is to run, and what has run.
      command: the command that repeats the audit, for the report.

    Returns:
      the audit: its sentences, its numbers and its report.

    Raises:
      ValueError: naming the argument, where one is out of range, there is no such party, the attacker holds the
        labels, the labels have one class, or there are fewer than 100 training rows.

    Example, which takes minutes::

      found = vfl.audit(vfl.load_bank_marketing(), minutes=5)
      print(found)
      found.to_html("report.html")
    """
    check_kind(bool, "True or False", progress=progress)
    check_count(seeds=seeds, epochs=epochs, rows=rows)
    check_choice("", HeadName, head=head)
    if not is_number(minutes) or not minutes > 0:
        raise ValueError(f"minutes is {shown(minutes)}; it must be a number above 0.")
    for name, given, fewest, why in (
        ("seeds", seeds, FEWEST_SEEDS, "of fewer, the intervals say too little"),
        ("epochs", epochs, 2, "the first says too little of a training"),
        ("rows", rows, FEWEST_TRAINING_ROWS, "fewer training rows tell nothing"),
    ):
        if given < fewest:
            raise ValueError(f"{name} is {given}; it must be at least {fewest}: {why}.")
    with extra("plots,sklearn", "An audit"):
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401
    clock = Clock(minutes)
    whole = load(data)
    _check_data(whole)
    who = _partner(whole, attacker)
    used = subsample(whole, rows, rows // 2)
    _check_data(used)
    running = Running(whole, used, who, head, seeds, epochs, rows, clock, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvidenceWarning)  # the report says how many rows measure
        return running.audited(command)


def _check_data(data: VerticalData) -> None:
    """Refuses data that no audit can say anything of."""
    found = np.bincount(np.asarray(data.train.labels), minlength=data.num_classes)
    lacking = [name for name, count in zip(data.classes, found, strict=True) if not count]
    if data.num_classes < 2 or lacking:
        names = f"class {lacking[0]!r} has no training row" if lacking else f"all labels are {data.classes[0]!r}"
        raise ValueError(f"data {data.name!r} cannot be audited: {names}. Give rows of at least two classes.")
    if data.train.num_samples < FEWEST_TRAINING_ROWS:
        raise ValueError(
            f"data {data.name!r} has {data.train.num_samples} training rows; an audit needs at least "
            f"{FEWEST_TRAINING_ROWS}, and 30 of every class before it says anything. Give more rows."
        )


def _partner(data: VerticalData, attacker: str | int | None) -> int:
    """The number of the malicious party, checked."""
    if attacker is None:
        return largest_party(data)
    who = place_of("attacker", attacker, data.parties, f"the parties of data {data.name!r} are", from_end=True)
    if who == data.active_party:
        raise ValueError(f"attacker is {data.parties[who]!r}, which holds the labels; name one that lacks them.")
    return who
