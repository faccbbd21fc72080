"""The report of an audit as one page of HTML: the answer, the picture, the table, and all that limits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vfl_jax.audits.findings import COST_AT_MOST, FLOOR_AT_MOST, PLANTS_ABOVE, READS_ABOVE, Range
from vfl_jax.audits.partner import ATTACKS, READERS
from vfl_jax.audits.pictures import picture
from vfl_jax.audits.setting import SEEDS
from vfl_jax.audits.tables import defense_rows, model_rows, short_rows, wide_rows
from vfl_jax.core.words import share
from vfl_jax.reports import html
from vfl_jax.reports.terms import TERMS
from vfl_jax.statistics import share_interval
from vfl_jax.statistics.judging import KEEPS
from vfl_jax.sweeps.cautions import FEW_ROWS

if TYPE_CHECKING:
    from vfl_jax.audits.result import Audit

UNTRIED = (
    "other models, such as deeper bottoms, and other optimizers: a leak may be larger or smaller there",
    "several partners that collude, and a partner that changes its own training in ways that are not listed",
    "labels of test rows, and the features of any party: only labels of training rows and predictions were attacked",
    "defenses that watch messages, such as GBD, VFLIP and VFLMonitor, and defenses with a model of their own, such as "
    "MID, CAE and distance correlation",
    "readers and attacks that are tuned to a defense's level: all are the same behind every defense",
    "a reader that adds what messages say to what the partner's own features say, beside a regression on few known "
    "rows; and more epochs or rows, over which noise averages out",
    "attacks of the package beside those in the tables, such as LR-BA, Villain, LFBA, and model completion by MixMatch "
    "(a regression on the trained embedding stands for it)",
)
"""What no audit tries."""
OWN_TERMS = {
    "AUC": "How often a row of the rarer label is ranked before one of the other; guessing has 0.5, perfect ranks 1.",
    "spares the model": f"A defense that leaves the model {share(KEEPS)} of what it knows beyond guessing, and "
    f"costs at most {COST_AT_MOST:g} of accuracy, by the upper end of the interval; in every seed training ends with "
    "finite numbers.",
    "labels read": "The share of the training rows' labels that a reader names rightly; rows it was told do not count.",
    "reader": "What a partner does with the messages that it gets, in order to find labels.",
    "floor": "The share of attacked rows that honest models call the wanted class by themselves.",
    "gradient": "The message that comes back to a party: how its embedding should change.",
    "noise 1×": "Noise as large as the entries of the gradients are in honest training: their root mean square.",
    "same length": "Every embedding is brought to the typical length, so that none can win by size.",
    "response ε": "Labels are drawn anew with some probability before training: differential privacy of labels.",
}

CAPTION = (
    "A row per defense. Dots are medians over seeds (means of attacks), bars are 95 % intervals. Hollow: the defense "
    "does not spare the model. Dashed: guessing, and what is named without joint training. Short strokes: honest "
    "models."
)
"""What the picture shows."""


def page(audit: Audit) -> str:
    """Returns the whole page.

    Args:
      audit: the audit.
    """
    found, facts, results = audit.findings, audit.facts, audit.results
    undecided = [html.paragraph(line) for line in sureness(audit)]
    wide = [
        html.details(
            "Labels read by every reader, medians over seeds",
            [html.table(wide_rows(results, "read", "reader", "median")), _words(results["reader"].values, READERS)],
        )
    ]
    if "read_auc" in results:
        rows = wide_rows(results, "read_auc", "reader", "median")
        wide.append(html.details("The AUC of every reader, medians over seeds", [html.table(rows)]))
    if found.undefended.planted is not None:
        rows = wide_rows(results, "attack_success", "attack", "mean")
        honest = wide_rows(results, "attack_success_honest", "attack", "mean")
        costs = wide_rows(results, "accuracy_attacked", "attack", "median")
        wide += [
            html.details(
                f"Attacked rows led to “{found.wanted}” by every attack, means over seeds",
                [html.table(rows), _words(results["attack"].values, ATTACKS)],
            ),
            html.details("The same of honest models", [html.table(honest)]),
            html.details("Accuracy of attacked models on clean rows, medians over seeds", [html.table(costs)]),
        ]
    parts = [
        html.answer(*audit.sentences),
        html.section("The picture", [html.figure(picture(found), CAPTION)]),
        html.section(
            "The table",
            [
                html.table(
                    short_rows(found),
                    "A row per defense, the most important first; medians over seeds, of attacks means.",
                ),
                html.details("The same with 95 % intervals and verdicts", [html.table(defense_rows(found))]),
                html.table(model_rows(found, facts["baselines"]), "The honest model beside others, on the same rows."),
                *wide,
            ],
        ),
        html.section("How sure this is", undecided),
        html.section("What was assumed", [html.bullets(assumed(facts))]),
        html.section("What was not tried", [html.bullets([*facts["not_tried"], *UNTRIED])]),
        html.section("Terms", [html.glossary(OWN_TERMS | {k: v for k, v in TERMS.items() if k in _USED})]),
        html.section("How to repeat it", [html.code(facts["command"]), html.code(versions(facts))]),
    ]
    title = f"What could {found.partner} do with your labels? An audit of {facts['data']}"
    return html.document(title, parts, description=audit.sentences[0])


_USED = (
    "active party",
    "backdoor",
    "embedding",
    "honest run",
    "interval",
    "main accuracy",
    "majority",
    "seed",
    "trigger",
)


def _words(names: Any, words: dict[str, str]) -> str:
    return html.glossary({str(name): words[str(name)] for name in names})


def sureness(audit: Audit) -> list[str]:
    """Returns how sure the answer is: seeds, rows, intervals, and the rules of every verdict.

    Args:
      audit: the audit.
    """
    found = audit.findings
    return [
        f"Every number is over {found.num_seeds} seeds. {found.num_read:,} training rows measure what is read "
        f"({found.num_rarest:,} of the rarest class), {found.num_attacked:,} test rows measure backdoors, "
        f"{found.num_test:,} the accuracy; below {FEW_ROWS} the answer is “not enough to say”.",
        "Intervals are 95 % bootstrap intervals over seeds: of the median, and of the mean for attacks. They cover "
        "what differs between trainings, not which rows the data happen to have; of ten seeds they are rather too "
        f"narrow. What happens in one of four trainings is missed by {found.num_seeds} seeds with a chance of "
        f"{share(0.75**found.num_seeds)}.",
        "The partner reads where the lower end of the best reader's interval is above what the most frequent label and "
        f"the partner's own features give by more than {share(READS_ABOVE)} of what these leave, in labels named "
        "rightly or in AUC. A defense stops the reading where the upper ends of all readers are at most that, in both, "
        "and no reader exceeds at any seed what the partner's own features give at their best seed, by more than the "
        "same margin. What they give "
        f"depends on the rows it knows (interval: {_ends(found.alone)} of labels): its upper end "
        "counts for “reads”, the lower end for “stops”. So what messages say may still be there behind a defense that "
        f"stops: it adds nothing that was found. What happens in none of {found.num_seeds} trainings may still happen "
        f"in up to {share(share_interval(0, found.num_seeds)[1])} of others.",
        f"A backdoor works where the lower end of its lift over honest models of the same seeds is above "
        f"{PLANTS_ABOVE:g}, and the median loss of accuracy on clean rows by the attack is at most "
        f"{COST_AT_MOST:g}: nobody would use a model that has lost more. A defense stops backdoors where the "
        "upper ends of all attacks are at most that lift; an attack is left out only where even the lower end of its "
        "loss is larger. So “stops” means: by no more than these margins above "
        "what happens without an attack. Between the two, the seeds do not settle it. Where honest models call more "
        f"than {share(FLOOR_AT_MOST)} of marked rows the wanted class, nothing is said.",
        f"{len(found.defended) - 1} defenses were tried, and the cheapest of those that stop is named: of many, one "
        "may pass by chance. Try it on other seeds and rows before you rely on it.",
        "The best reader and the strongest attack are chosen by the same runs that report them, behind every defense "
        "anew, so that their numbers are rather too large: the careful side for whoever holds the labels.",
    ]


def _ends(found: Range) -> str:
    """An interval in words."""
    return f"{share(found.low)} to {share(found.high)}"


def assumed(facts: dict[str, Any]) -> list[str]:
    """Returns what was assumed, a line each.

    Args:
      facts: the facts of the audit.
    """
    used, whole = facts["rows_used"], facts["rows"]
    rows = f"{used[0]:,} training and {used[1]:,} test rows"
    if used != whole:
        rows += f", drawn from {whole[0]:,} and {whole[1]:,} alike in all classes"
    holder = facts["active_party"] or "somebody without features"
    sizes = facts["sizes"]
    classes = ", ".join(f"{name} {count:,}" for name, count in facts["classes"].items())
    return [
        f"Labels are with {holder}; {facts['partner']} is malicious and holds {share(facts['share'])} of all "
        f"features; the parties are {', '.join(facts['parties'])}.",
        f"{rows}; training rows by class: {classes}.",
        f"Every party has one layer of width 32 with ReLU, under a {facts['head']} head."
        if facts["head"] == "trainable"
        else "Every party has a hidden layer of 32; embeddings are added up (sum head).",
        f"{facts['epochs']} epochs of plain gradient descent in batches of {facts['batch']}, at a learning rate of "
        f"{facts['learning_rate']:g}, the largest of three within 0.01 of the best accuracy of honest runs with "
        f"{len(SEEDS)} other seeds.",
        f"A reader knows the labels of {facts['num_known']} training rows of every class, an attack "
        f"{facts['num_targets']} rows of class “{facts['wanted']}”, the rarest, to which backdoors lead. What the "
        "partner's own features give is a logistic regression on as many known rows, without joint training; it holds "
        "all classes for equally frequent, so it may name fewer rows rightly than the most frequent label would.",
        f"The mark of attacked rows: {facts['trigger']}.",
        f"Levels of noise and bounds are multiples of messages in honest training: an entry of a gradient is "
        f"{sizes['gradient_entry']:.2g} large (root mean square), a row {sizes['gradient_norm']:.2g} long, an "
        f"embedding {sizes['embedding_norm']:.3g}.",
        "The readers and attacks are fixed; none is tuned to a defense's level. Some are built to answer defenses: "
        "readers that add up or learn from known rows answer noise, coding and what is held back; attacks that use no "
        "gradient (BASL, the replays) answer all defenses of gradients and labels; BASL ordinary answers bounds "
        "on embeddings, and the learned message embeddings of one length.",
    ]


def versions(facts: dict[str, Any]) -> str:
    """Returns the data, the time and the versions, a line each.

    Args:
      facts: the facts of the audit.
    """
    lines = [f"{name} {version}" for name, version in facts["versions"].items()]
    took = f"{facts['seconds'] / 60:z.1f} of {facts['minutes']:g} minutes; how many defenses fit depends on the machine"
    return "\n".join([f"data {facts['data']}, SHA-256 {facts['fingerprint']}", f"time {took}", *lines])
