"""The verdicts on the paper's claims follow from the saved results by the stated thresholds."""

import json
import math
import re

import numpy as np
import pytest
import xarray as xr
from result_helpers import COLLAPSED, FAILURE, PLAIN, SUCCESS, attacked, results_of, save_results

from experiments.liu2020.claims_without_a_figure.cases import CASES as WITHOUT_A_FIGURE
from experiments.liu2020.combination.cases import CASES as COMBINED
from experiments.liu2020.gamma.cases import CASES as AMPLIFIED
from experiments.liu2020.head.cases import CASES as HEADS
from experiments.liu2020.noise.cases import CASES as NOISY
from experiments.liu2020.saved import Results
from experiments.liu2020.sparsification.cases import CASES as SPARSIFIED
from experiments.liu2020.table_1.count import FILE
from experiments.liu2020.verdict import attacks, defenses, labels
from experiments.liu2020.verdict.__main__ import README
from experiments.liu2020.verdict.data import TEXTS, judge_counts
from experiments.liu2020.verdict.judge import Claim, Examined, Finding, judge, outcome
from experiments.liu2020.verdict.judge import row as row_of
from experiments.liu2020.verdict.page import (
    CENTRAL,
    MARKS,
    NOT_CLAIMED,
    NOT_RUN,
    SECTIONS,
    answer,
    examined_claims,
    marks,
    page,
    whole,
)
from experiments.liu2020.what_success_depends_on.cases import CASES as DEPENDING
from experiments.shared.outcomes import at
from vfl_jax.core.files import save
from vfl_jax.data.sets.nus_wide import PAPER

pytestmark = pytest.mark.usefixtures("results_in_memory")

SEEDS = 20
EVERY_CLAIM = [claim for claims in SECTIONS.values() for claim in claims]


def claim_that(text, claims=(*attacks.CLAIMS, *attacks.EXTENSIONS, *defenses.CLAIMS, *labels.CLAIMS)):
    (claim,) = [claim for claim in claims if text in claim.text]
    return claim


def verdicts_on(folder):
    """The verdict on a claim by what the folder holds now; each result is read once."""
    results = Results(folder)
    return lambda text: judge(claim_that(text), results)["verdict"]


def verdict(text, folder):
    return verdicts_on(folder)(text)


def test_every_group_of_every_claim_names_cases_that_exist(tmp_path):
    for claim in EVERY_CLAIM:
        assert judge(claim, Results(tmp_path))["verdict"] == "**not run yet**"
    with pytest.raises(KeyError, match="has no case 'none'"):
        judge(Claim("", "", "", {"a": ("gamma/none",)}, lambda _: Finding(1.0, "")), Results(tmp_path))


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ((1.0, 0.9), "**holds**"),
        ((0.1, 0.0), "**does not hold**"),
        ((0.95, 0.05), "**holds only: a. Not: b**"),
        ((0.95, 0.5), "**holds only: a; b (some seeds)**"),
        ((0.5, 0.05), "**holds only: a (some seeds). Not: b**"),
        ((0.95,), "**holds** (so far)"),
        ((0.9, 0.1), "**holds only: a. Not: b**"),
        ((None, 0.95), "**holds. Cannot be judged: a**"),
        ((None, 0.05), "**does not hold. Cannot be judged: a**"),
        ((0.5, None), "**holds only: a (some seeds). Cannot be judged: b**"),
        ((None, None), "**cannot be judged**"),
    ],
)
def test_the_verdict_is_graded_by_groups(tmp_path, held, expected):
    cases = ("liu2020_code_mnist", "liu2020_paper_mnist")[: len(held)]
    for name in cases:
        save_results(tmp_path / "gamma" / "results", AMPLIFIED, name, lambda settings: {})
    shares = iter(held)
    claim = Claim(
        "Figure 4",
        "it works",
        "runs",
        {"a": ("gamma/liu2020_code_mnist",), "b": ("gamma/liu2020_paper_mnist",)},
        lambda dataset: Finding(next(shares), "seen"),
    )
    row = judge(claim, Results(tmp_path))
    assert row["verdict"] == expected
    assert row["claim"] == "it works (Figure 4)"
    assert row["evidence"].count("seen") == len(held)
    assert ("not run yet: b" in row["evidence"]) == (len(held) == 1)


def test_a_point_is_found_by_its_settings_and_told_with_its_floor():
    case = AMPLIFIED[0]
    values = lambda s: (SUCCESS if s["attack.amplify"] == 20 else FAILURE) if s["attack.enabled"] else {}  # noqa: E731
    dataset = results_of(case, values, seeds=SEEDS)
    assert outcome(at(dataset, amplify=20)).startswith(
        "20/20 [0.84, 1.00] seeds succeed, 20 have a backdoor; backdoor 0.900 [0.900, 0.900], floor 0.100"
    )
    assert outcome(at(dataset, amplify=1)).startswith("0/20 [0.00, 0.16] seeds succeed, 0 have a backdoor; ")
    assert outcome(at(dataset, amplify=1)).endswith("floor 0.100 [0.100, 0.100]")
    collapsed = results_of(case, attacked(**COLLAPSED), seeds=SEEDS)
    found = outcome(at(collapsed, amplify=20))
    assert found.startswith(
        "0/20 [0.00, 0.16] seeds succeed, 20 have a backdoor, 20 collapse; backdoor 0.900 [0.900, 0.900], floor"
    )
    with pytest.raises(KeyError, match="amplify"):
        at(dataset, amplify=3)


def save_all(folder, experiment, cases, values):
    for case in cases:
        save_results(folder / experiment / "results", cases, case.name, values(case), seeds=SEEDS)


def on_mnist(cases):
    return [case for case in cases if case.task == "mnist"]


def attacked_as(numbers):
    return lambda case: attacked(**numbers)


def by_task(mnist, nus_wide):
    return lambda case: attacked(**(mnist if case.task == "mnist" else nus_wide))


@pytest.mark.long
def test_attacks_and_heads(tmp_path):
    """The paper's own picture, and its opposite."""
    save_all(tmp_path, "gamma", AMPLIFIED, by_task(SUCCESS, COLLAPSED))
    save_all(tmp_path, "head", HEADS, by_task(FAILURE, SUCCESS))
    verdict = verdicts_on(tmp_path)
    nus = "NUS-WIDE twin, liu2020_code; NUS-WIDE twin, liu2020_paper"
    assert verdict("without labels injects") == (
        f"**holds only: MNIST, liu2020_code; MNIST, liu2020_paper. Not: {nus}**"
    )
    assert verdict("On MNIST the backdoor fails") == "**holds**"
    assert verdict("On NUS-WIDE it succeeds") == "**holds**"
    # Nothing is hidden where there is no backdoor; the twin's under the sum head cost 0.45.
    assert verdict("clean validation set") == (
        "**holds only: MNIST, liu2020_code, sum head; MNIST, liu2020_paper, sum head; NUS-WIDE twin, liu2020_code, "
        "trainable head; NUS-WIDE twin, liu2020_paper, trainable head. Not: NUS-WIDE twin, liu2020_code, sum head; "
        "NUS-WIDE twin, liu2020_paper, sum head. Cannot be judged: MNIST, liu2020_code, trainable head; MNIST, "
        "liu2020_paper, trainable head**"
    )
    # All honest runs reach 0.95: within 0.01 of MNIST's 0.957, far from 0.971. The twin is fitted, whatever it reaches.
    assert verdict("MNIST, sum head: 95.7%") == "**holds**"
    assert verdict("MNIST, trainable head: 97.1%") == "**does not hold**"
    assert verdict("NUS-WIDE, sum head: 88.5%") == "**cannot be judged**"
    assert verdict("improves the accuracy") == "**does not hold**"  # they are equal


@pytest.mark.long
@pytest.mark.parametrize(
    ("accuracy", "fixed", "trainable"),
    [(0.9671, "does not hold", "holds"), (0.9469, "does not hold", "does not hold"), (0.9665, "holds", "holds")],
)
def test_an_accuracy_is_reached_neither_far_below_nor_above(tmp_path, accuracy, fixed, trainable):
    """The paper's: 0.957 under the sum head, 0.971 under the trainable one."""
    for experiment, cases in (("gamma", AMPLIFIED), ("head", HEADS)):
        save_all(tmp_path, experiment, on_mnist(cases), lambda case: lambda settings: {"main_task_accuracy": accuracy})
    verdict = verdicts_on(tmp_path)
    assert verdict("MNIST, sum head: 95.7%") == f"**{fixed}**"
    assert verdict("MNIST, trainable head: 97.1%") == f"**{trainable}**"


@pytest.mark.long
def test_a_collapsed_seed_with_a_backdoor_has_not_been_defended(tmp_path):
    save_all(tmp_path, "head", on_mnist(HEADS), attacked_as(COLLAPSED))
    save_all(tmp_path, "gamma", on_mnist(AMPLIFIED), attacked_as(SUCCESS))
    assert verdict("On MNIST the backdoor fails", tmp_path) == "**does not hold**"
    save_all(tmp_path, "gamma", on_mnist(AMPLIFIED), attacked_as(FAILURE))  # there is none to fail
    assert verdict("On MNIST the backdoor fails", tmp_path) == "**cannot be judged**"


def test_an_attack_that_moves_rows_without_a_backdoor_leaves_nothing_to_fail(tmp_path):
    """MNIST as the text has it: a median attack success of 0.08 under the sum head, and no seed has a backdoor."""
    save_all(tmp_path, "head", on_mnist(HEADS), attacked_as(FAILURE))
    save_all(tmp_path, "gamma", on_mnist(AMPLIFIED), attacked_as({"attack_success_rate": 0.08}))
    assert verdict("On MNIST the backdoor fails", tmp_path) == "**cannot be judged**"


def test_of_many_groups_a_verdict_counts_and_the_evidence_names():
    findings = {f"g{i}": Finding(held, f"seen {i}") for i, held in enumerate([1.0] * 4 + [0.5] * 2 + [0.0] * 2)}
    few = row_of(Examined("", "", "", findings, [], {}))
    assert few["verdict"].startswith("**holds only: g0; g1; g2; g3; g4 (some seeds)")
    found = row_of(Examined("", "", "", findings | {"g8": Finding(None, "seen 8")}, ["g9"], {}))
    assert found["verdict"] == "**holds in 4 of 9 groups, on some seeds in 2, not in 2. Cannot be judged: 1** (so far)"
    assert found["evidence"].startswith("g0: seen 0<br>g1: seen 1<br>")
    assert "<br>g4: seen 4<br>" in found["evidence"]
    assert found["evidence"].endswith("g8: seen 8<br>not run yet: g9")
    all_good = {f"g{i}": Finding(1.0, "") for i in range(9)}
    assert row_of(Examined("", "", "", all_good, [], {}))["verdict"] == "**holds**"


@pytest.mark.parametrize("other", [{"fingerprint": "of other data"}, {"seeds": 3}])
def test_what_was_not_made_alike_is_not_compared(tmp_path, other):
    for name in ("liu2020_code_mnist", "liu2020_paper_mnist"):
        save_results(tmp_path / "gamma" / "results", AMPLIFIED, name, lambda settings: {})
        better = {"main_task_accuracy": 0.96}
        changed = other if name == "liu2020_code_mnist" else {}
        save_results(tmp_path / "head" / "results", HEADS, name, lambda settings, b=better: b, **changed)
    row = judge(claim_that("improves the accuracy"), Results(tmp_path))
    assert row["verdict"] == "**holds** (so far)"
    assert row["evidence"].startswith("MNIST, liu2020_paper: paired difference 0.010")
    assert (
        "not run yet: MNIST, liu2020_code (so far on other data, for other epochs or with other seeds)"
        in row["evidence"]
    )


def test_a_range_of_gamma_is_two_of_them_on_the_same_seed():
    """Half of the seeds succeed at 5, the others at 10, three at both."""
    first = np.arange(SEEDS) < 10

    def values(settings):
        gamma, enabled = settings["attack.amplify"], settings["attack.enabled"]
        succeeds = {5: first, 10: ~first | (np.arange(SEEDS) < 3)}.get(gamma, np.zeros(SEEDS, bool)) & bool(enabled)
        return {"backdoor_accuracy": np.where(succeeds, 0.9, 0.1)}

    found = claim_that("reasonable range").look(results_of(AMPLIFIED[0], values, seeds=SEEDS))
    assert found.held == 0.15
    assert "γ = 5: 10, γ = 7: 0, γ = 10: 13" in found.evidence


def test_leaked_labels(tmp_path):
    """The best reader judges; a claim whose kept messages are missing is not judged."""
    cases = [c for c in WITHOUT_A_FIGURE if c.name.startswith("liu2020_code_labels_")]

    def read(case):
        share = 1.0 if case.name.endswith("mnist_sum") else 0.5
        return lambda settings: {"label_inference_accuracy": share, "label_inference_rate": 1.0}

    save_all(tmp_path, "claims_without_a_figure", cases, read)
    held = "MNIST, liu2020_code; NUS-WIDE twin, liu2020_code (some seeds)"
    assert verdict("reveal the labels", tmp_path) == f"**holds only: {held}** (so far)"
    assert verdict("alleviates the leakage", tmp_path) == "**not run yet**"
    for case, share in ((c, 0.9 if c.name.endswith("mnist_trainable") else 0.5) for c in cases):
        numbers = {"accuracy": share, "rate": 1.0}
        kept = xr.Dataset(
            {name: (("defense", "reader", "seed"), np.full((1, 1, SEEDS), n)) for name, n in numbers.items()},
            {"defense": ["none"], "reader": ["messages, 1 known"], "seed": np.arange(SEEDS)},
            {"data": json.dumps({"name": "mnist" if case.task == "mnist" else "nus_wide_twin"})},
        )
        save(kept, tmp_path / "claims_without_a_figure" / "results" / f"{case.name.replace('labels', 'listened')}.nc")
    assert verdict("alleviates the leakage", tmp_path) == "**does not hold** (so far)"
    # Who knows no label reads 0.5 by signs under the trainable head, all under the sum head; the floor is 0.112.
    claim = claim_that("from a party that knows none")
    assert verdict(claim.text, tmp_path).startswith("**holds only: MNIST")


def test_a_head_hides_a_share_of_what_leaks_and_nothing_where_nothing_does():
    fixed = np.array([0.9, 0.9, 0.4])
    assert labels.hidden_share(np.array([0.4, 0.65, 0.3]), fixed, 0.4).tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert labels.hidden_share(np.array([0.1, 1.0, 1.0]), fixed, 0.4).tolist() == [1.0, 0.0, 0.0]
    assert labels.hidden_share(np.full(2, 0.6), np.full(2, 0.3), 0.4) is None  # it leaks more, and hides nothing
    assert labels.hidden_share(np.full(2, 0.6), np.full(2, 0.4), 0.4) is None


@pytest.mark.parametrize(("without", "expected"), [(10, "holds"), (11, "does not hold")])
def test_blurring_is_needed_where_half_of_the_seeds_fail_without(tmp_path, without, expected):
    def values(case):
        count = SEEDS if case.name.startswith("base") else without
        succeeds = np.arange(SEEDS) < count
        return attacked(backdoor_accuracy=np.where(succeeds, 0.9, 0.1))

    save_all(
        tmp_path,
        "what_success_depends_on",
        [c for c in DEPENDING if c.name.startswith(("base_", "blur_none_"))],
        values,
    )
    assert verdict("needs activation blurring", tmp_path) == f"**{expected}**"


def test_a_seed_without_finite_scores_has_no_high_one(tmp_path):
    case = AMPLIFIED[0]
    dataset = results_of(case, by_task(SUCCESS, SUCCESS)(case), seeds=SEEDS)
    look = claim_that("score of the target class is much higher").look
    scores = dataset["is_finite"].isel(epoch=-1) * xr.DataArray([0.6, 0.4], dims="class")
    assert look(dataset.assign(class_score=scores)).held == 1
    partly = look(dataset.assign(class_score=scores.where(dataset["seed"] > 3)))
    assert partly.held == 0.8
    assert "on 16 seeds with finite scores, above 0.5 on 16 of 20" in partly.evidence
    assert look(dataset.assign(class_score=scores[..., ::-1])).held == 0


def by_level(blocked_above, hurt_above):
    """Values of a defense's sweep: attacked seeds succeed up to one level, honest runs lose 0.1 above another."""

    def values(case):
        def of(settings):
            level = next(value for name, value in settings.items() if name.startswith("defense."))
            accuracy = {"main_task_accuracy": 0.85} if level > hurt_above else {}
            succeeds = settings["attack.enabled"] and level <= blocked_above
            return accuracy | (SUCCESS if succeeds else {"attack_success_rate": 0.0})

        return of

    return values


@pytest.mark.parametrize(
    ("blocked_above", "hurt_above", "alleviates", "hurts"),
    [
        (0.05, 0.025, "holds", "holds"),
        (0.075, 0.05, "does not hold", "does not hold"),
        (-1, 1, "cannot be judged", None),
    ],
)
def test_noise(tmp_path, blocked_above, hurt_above, alleviates, hurts):
    save_all(tmp_path, "noise", NOISY, by_level(blocked_above, hurt_above))
    verdict = verdicts_on(tmp_path)
    assert verdict("Noise above 0.05") == f"**{alleviates}**"
    if hurts:
        assert verdict("Noise of 0.05 hurts") == f"**{hurts}**"


def test_noise_that_hurts_some_seeds_alone_is_not_known_to_hurt(tmp_path):
    """The interval of the median loss reaches above the threshold: 11 of 20 seeds lose 0.1, the others nothing."""
    values = by_level(0.05, 0.025)
    some = np.where(np.arange(SEEDS) < 11, 0.85, PLAIN["main_task_accuracy"])

    def of_some_seeds(case):
        return lambda settings: {n: some if n == "main_task_accuracy" else v for n, v in values(case)(settings).items()}

    save_all(tmp_path, "noise", NOISY, of_some_seeds)
    assert verdict("Noise of 0.05 hurts", tmp_path) == "**does not hold**"


@pytest.mark.parametrize(
    ("bound", "stddev", "expected"),
    [
        *((0.003, 0.05, "holds"), (0.01, 0.05, "does not hold"), (0, 0.05, "holds"), (0.003, 1, "does not hold")),
        (0, 1, "cannot be judged"),
        (math.inf, 0.05, "cannot be judged"),
    ],
)
def test_clipping_is_weaker_where_stopping_the_backdoor_costs_more(tmp_path, bound, stddev, expected):
    """The attack fails from these settings on, if ever; a bound of 0.003 costs 0.04, any noise and any other 0.02."""

    def values(case):
        def of(settings):
            limit = settings.get("defense.bound", math.inf)
            noise = settings.get("defense.stddev", settings.get("defense.variance", 0))
            main = PLAIN["main_task_accuracy"] - (0.04 if limit <= 0.003 else 0.02 if limit < 1 or noise else 0)
            succeeds = settings["attack.enabled"] and limit > bound and noise < stddev
            return (SUCCESS if succeeds else {}) | {"main_task_accuracy": main}

        return of

    save_all(
        tmp_path,
        "claims_without_a_figure",
        [c for c in WITHOUT_A_FIGURE if c.name.endswith("clipping_nus_wide_trainable")],
        values,
    )
    save_all(tmp_path, "noise", [c for c in NOISY if c.name.endswith("gaussian")], values)
    assert verdict("Clipping", tmp_path) == f"**{expected}**"


def test_a_combination_must_block_and_spare(tmp_path):
    def values(case):
        def of(settings):
            rate, stddev = settings["defense.drop_rate"], settings["defense.stddev"]
            is_blocked = rate >= 0.9 and stddev >= 0.01
            hurts = stddev >= 0.05 or case.name.endswith("sum")
            accuracy = {"main_task_accuracy": 0.9} if is_blocked and hurts else {}
            return accuracy | (SUCCESS if settings["attack.enabled"] and not is_blocked else {})

        return of

    save_all(tmp_path, "combination", [c for c in COMBINED if c.name.startswith("liu2020_code")], values)
    row = judge(claim_that("A combination"), Results(tmp_path))
    held = "NUS-WIDE twin, trainable head, liu2020_code"
    assert row["verdict"] == f"**holds only: {held}. Not: NUS-WIDE twin, sum head, liu2020_code** (so far)"
    trainable, fixed, _ = row["evidence"].split("<br>")
    assert re.search(r"does, and spares: drop_rate 0\.9+, stddev 0\.01: 0/20", trainable)
    assert "the cheapest that does" in fixed
    assert "-0.050 [-0.050, -0.050]" in fixed


def test_sparsification_is_judged_against_the_rate_0_of_the_published_residual(tmp_path):
    """The other residuals have no rate 0 of their own: there all three are the same run."""

    def values(case):
        def of(settings):
            rate = settings["defense.drop_rate"]
            succeeds = settings["attack.enabled"] and rate < 0.95
            hurts = rate >= (0.95 if case.name.endswith("sample") else 0.99)
            return (SUCCESS if succeeds else {}) | ({"main_task_accuracy": 0.9} if hurts else {})

        return of

    mnist = [case for case in SPARSIFIED if "mnist" in case.name]
    save_all(tmp_path, "sparsification", [c for c in mnist if not c.name.endswith("position")], values)
    assert verdict("Gradient sparsification", tmp_path) == "**not run yet**"
    save_all(tmp_path, "sparsification", mnist, values)
    row = judge(claim_that("Gradient sparsification"), Results(tmp_path))
    by_residual = "MNIST, sum head, residual {}, liu2020_code".format
    assert row["verdict"] == (
        f"**holds only: {by_residual('position')}; {by_residual('none')}. Not: {by_residual('sample')}** (so far)"
    )
    save_all(tmp_path, "sparsification", mnist, lambda case: lambda settings: {})
    row = judge(claim_that("Gradient sparsification"), Results(tmp_path))
    assert row["verdict"] == "**cannot be judged** (so far)"
    assert "there is nothing to stop: 0/20" in row["evidence"]


@pytest.mark.long
def test_the_page_shows_the_saved_results():
    text = README.read_text()
    found = examined_claims(README.parent)
    whole = page(found)
    assert whole in text
    assert text.index(answer(found)) < text.index("![") < text.index("| claim |")
    (table, *_) = whole.partition("| mark |")
    assert len(EVERY_CLAIM) + len(TEXTS) == table.count("\n| ") - 1


def examined(findings, runs=None):
    runs = dict.fromkeys(findings, "gamma/liu2020_code_mnist") if runs is None else runs
    return Examined("A claim", "section 1", "what", findings, [], runs)


def test_marks_stand_with_their_data_and_preset_and_count_several_groups():
    findings = {
        "MNIST, liu2020_code, sum head": Finding(1.0, ""),
        "MNIST, liu2020_code, trainable head": Finding(0.0, ""),
        "NUS-WIDE twin, gaussian": Finding(None, ""),
    }
    runs = dict.fromkeys(findings, "noise/liu2020_code") | {"NUS-WIDE twin, gaussian": "noise/liu2020_paper_a"}
    row = marks(examined(findings, runs))
    assert row["MNIST, as run"] == "✓ holds (1)<br>✗ does not (1)"
    assert row["twin, as written"] == "– not judged"
    assert row["MNIST, as written"] == row["twin, as run"] == NOT_RUN


def test_a_cell_without_a_finding_says_whether_the_claim_speaks_of_its_data():
    """Nothing is counted yet; then the real set is, which neither preset has a part in."""
    row = marks(examined({}, {})._replace(about=("nus_wide",)))
    assert (row["MNIST, as run"], row["MNIST, as written"]) == (NOT_CLAIMED, NOT_CLAIMED)
    assert (row["twin, as run"], row["twin, as written"]) == (NOT_RUN, NOT_RUN)
    row = marks(examined({"train": Finding(1.0, "")}, {})._replace(about=("nus_wide",)))
    assert row["MNIST, as run"] == NOT_CLAIMED
    assert row["twin, as run"] == row["twin, as written"] == "✓ holds, real set"


def test_the_page_leaves_no_cell_empty_and_explains_every_mark():
    (table, legend, *_) = README.read_text().partition("<!-- tables:")[2].split("\n\n")[1:]
    cells = [cell.strip() for line in table.splitlines()[2:] for cell in line.strip("|").split("|")]
    assert [cell for cell in cells if not cell] == []
    marks_there = {mark.partition(" (")[0].removesuffix(", real set") for cell in cells for mark in cell.split("<br>")}
    explained = {line.split("|")[1].strip() for line in legend.splitlines()[2:]}
    assert marks_there & {*MARKS.values(), NOT_RUN, NOT_CLAIMED} <= explained == {*MARKS.values(), NOT_RUN, NOT_CLAIMED}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ((1.0, None), "holds"),
        ((0.0, 0.1), "does not hold"),
        ((0.5,), "holds on some seeds"),
        ((1.0, 0.0), "depends on the group"),
        ((None,), "cannot be judged"),
        ((), "not run"),
    ],
)
def test_the_answer_counts_claims_by_what_became_of_them(held, said):
    assert whole(examined({f"MNIST, {i}": Finding(one, "") for i, one in enumerate(held)})) == said


def test_the_answer_tells_of_the_papers_own_attack():
    groups = {f"MNIST, {i}": Finding(held, "") for i, held in enumerate((1.0, 0.5, 0.0, 0.0))}
    other, central = examined(groups), examined(groups)._replace(text=f"{CENTRAL}; and more")
    told = f"The central one, “{CENTRAL}; and more”, holds in 1 of 4 groups, on some seeds in 1, and does not in 2."
    assert told in answer({"Attacks": [other, central]})
    assert "The central one" not in answer({"Attacks": [other]})


def test_counts_are_judged_where_they_are_of_the_real_set(tmp_path):
    def verdicts(counts=None):
        if counts is not None:
            (tmp_path / FILE).write_text(json.dumps(counts))
        return [row["verdict"] for row in judge_counts(tmp_path)]

    assert verdicts() == ["**not run yet**"] * 2
    splits = {s: {"rows": p.rows.tolist(), "triggers": p.triggers.tolist()} for s, p in PAPER.items()}
    labels = {s: part["rows"] for s, part in splits.items()}
    twin = {"data": "nus_wide_twin", **splits}
    assert verdicts({"nus_wide": twin}) == ["**not run yet**"] * 2  # it is made to have them
    assert verdicts({"nus_wide": twin, "real_labels": labels}) == ["**holds**", "**not run yet**"]
    one_off = labels | {"test": [labels["test"][0] + 1, *labels["test"][1:]]}
    assert verdicts({"nus_wide": twin, "real_labels": one_off}) == [
        "**holds only: train. Not: test**",
        "**not run yet**",
    ]
    assert verdicts({"nus_wide": {"data": "nus_wide", **splits}}) == ["**holds**"] * 2
