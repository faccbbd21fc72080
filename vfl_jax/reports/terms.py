"""What the words of a report mean."""

from __future__ import annotations

from collections.abc import Iterable

TERMS = {
    "active party": "The party that holds the labels and trains the head.",
    "attack success": "The share of attacked test rows of other classes that the model takes for the target class.",
    "backdoor": "What an attacker teaches the model: rows with a trigger are taken for the target class.",
    "balanced accuracy": "The mean of the accuracies of both classes; guessing reaches 0.5.",
    "clean floor": "The attack success of honest runs of the same seeds, by mistake and without any attack.",
    "collapsed": "A run whose main accuracy lost more than 0.02 to the attack, or is not finite.",
    "defense": "What the active party does to messages in order to stop attacks.",
    "detection AUC": "How often an attacked row is more suspicious to the defense than a clean one; guessing has 0.5.",
    "embedding": "The message that a party sends up: what its own model makes of its features of a row.",
    "epoch": "One pass over the training rows.",
    "honest run": "A run of the same seed and settings whose attacks are switched off.",
    "interval": "The 95 % bootstrap interval of a median or mean over seeds; of a few seeds it is too narrow, and of "
    "equal values it has no width, which is no certainty.",
    "label inference": "Reading labels, which belong to the active party, off the messages that come back.",
    "lift": "Attack success above the clean floor.",
    "main accuracy": "The share of test rows of which the model finds the right class.",
    "majority": "The share of test rows of the most frequent class, which guessing reaches in the main accuracy.",
    "not judged": "A run that says nothing of the attack: without an honest run, or with one that learnt nothing.",
    "party": "Who holds some of the features of every row.",
    "recovered utility": "The accuracy on attacked rows, behind the defense.",
    "rows measured": "Attacked test rows of another class than the target class: the denominator of attack success.",
    "seed": "What settles everything random in a run: batches, initial weights, which rows are poisoned.",
    "success": "A run in which most triggered rows are taken for the target class, many more than in the honest run.",
    "T-DCS": "A mean score, 1 at best: how little main accuracy a defense costs, how little attack success it leaves.",
    "target class": "The class that a backdoor shall lead to, τ.",
    "trigger": "The mark on a row that a backdoor answers to.",
}
"""Every term and its meaning."""


def terms_in(texts: Iterable[str]) -> dict[str, str]:
    """The terms that occur in texts, with their meanings.

    Args:
      texts: plain texts.

    Example:
      >>> list(terms_in(["Main accuracy is 0.9 over 20 seeds."]))
      ['main accuracy', 'seed']
    """
    said = " ".join(texts).lower()
    return {term: meaning for term, meaning in TERMS.items() if term.lower() in said}


def glossary() -> str:
    """The page ``docs/glossary.md``: every term with its meaning, as Markdown.

    Example:
      >>> glossary().splitlines()[0]
      '# Glossary'
    """
    rows = "\n".join(f"| {term} | {meaning} |" for term, meaning in TERMS.items())
    return (
        "# Glossary\n\nReports explain their words by these sentences; both have one source, "
        "`vfl_jax/reports/terms.py`. The words of the code stand in [the house](house.md#words).\n\n"
        f"| word | what it means |\n|---|---|\n{rows}\n"
    )
