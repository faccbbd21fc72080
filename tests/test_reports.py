"""What methods report of training rows: numbers, scores, suspicion, poisoned rows; against scikit-learn and counts."""

import evaluation_helpers as shared
import helpers
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from evaluation_helpers import HONEST, Watch, scenario_of, two_classes
from result_helpers import PLAIN
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

import vfl_jax as vfl
from vfl_jax.core.record import static
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.scenario.measures import check_free

N = 48
RNG = np.random.default_rng(0)
SCORES = RNG.integers(0, 5, (2, N)).astype("f4")
SUSPECTS, CHOSEN = RNG.random((2, N)) < 0.3, RNG.random((2, N)) < 0.4
POISON = (2, 3, 7, 20)
ASKED = np.arange(N) != 1
"""The rows whose labels no attacker was granted."""

CONTENT = {
    "number": {"reach": 0.25},
    "whole": {"reach": jnp.int32(2)},
    "scores": {"label_scores": SCORES[0]},
    "other_scores": {"label_scores": SCORES[1]},
    "few_scores": {"label_scores": np.where(CHOSEN[0], SCORES[0], np.nan).astype("f4")},
    "ways": {"label_scores_norm": SCORES[0], "label_scores_sign": SCORES[1]},
    "suspicion": {"suspicion": SCORES[0], "suspects": SUSPECTS[0]},
    "chosen": {"poisoned_rows": CHOSEN[0]},
    "other_chosen": {"poisoned_rows": CHOSEN[1]},
    "guesses": {"label_guesses": np.where(CHOSEN[0], 1, -1).astype("i4")},
    "a_text": {"reach": "far"},
    "a_number_as_name": {3: 1.0},
    "a_path": {"far/reach": 1.0},
    "a_row": {"reach": np.zeros(N, "f4")},
    "too_short": {"label_guesses": np.zeros(N - 1, "i4")},
    "no_guesses": {"label_guesses": np.zeros(N, "f4")},
    "no_flags": {"suspicion": SCORES[0], "suspects": SCORES[0]},
    "alone": {"suspicion": SCORES[0]},
    "no_rows": {"poisoned_rows": np.arange(3)},
    "clash": {"main_clean": 0.5},
    "late_clash": {"detection_auc": 0.5},
    "trained_clash": {"loss": 0.5},
    "count": {"reach_count": 3.0},
    "of_honest_runs": {"label_guesses_honest": 3.0},
    "dimension": {"epoch": 3.0},
}


class Reporting(vfl.Attack):
    """Test only: reports what it is told to."""

    content: str = static(default="number")

    def report(self, state):
        return dict(CONTENT[self.content])


class ReportingDefense(vfl.ActiveTransform):
    """Test only: the same of a defense."""

    content: str = static(default="number")

    def report(self, state):
        return dict(CONTENT[self.content])


class Listing(vfl.ActiveTransform):
    """Test only: returns no dict."""

    def report(self, state):
        return [0.5]


def reported(*contents, defense=None, data=None, **fields):
    """The results where two parties report, and maybe the defense."""
    attacks = [HONEST if content is None else Reporting(content=content) for content in contents]
    attacks += [HONEST] * (2 - len(attacks))
    if defense is not None:
        fields["defense"] = ReportingDefense(content=defense)
    scenario = scenario_of(attacks, poison_ids=POISON, plan={"trigger": EmbeddingTrigger()}, **fields)
    return shared.trained(scenario, data or helpers.table_data())[0]


@pytest.mark.long
def test_a_number_is_a_variable_and_of_several_methods_the_mean():
    assert float(reported("number").reach) == 0.25
    both = reported("number", "number", defense="whole")
    assert float(both.reach) == pytest.approx((0.25 + 0.25 + 2) / 3)
    assert int(both.reach_count) == 3


@pytest.mark.long
def test_scores_of_two_classes_have_an_area():
    data = two_classes()
    labels = data.train.labels
    areas = [roc_auc_score(labels[ASKED], scores[ASKED]) for scores in SCORES]
    assert areas[0] != areas[1]
    assert float(reported("scores", data=data, width=2).label_inference_auc) == pytest.approx(areas[0])
    both = reported("scores", "other_scores", data=data, width=2)
    assert float(both.label_inference_auc) == pytest.approx(np.mean(areas))
    ways = reported("ways", data=data, width=2)
    found = [float(ways[f"label_inference_auc_{way}"]) for way in ("norm", "sign")]
    assert found == pytest.approx(areas)
    some = ASKED & CHOSEN[0]
    few = float(reported("few_scores", data=data, width=2).label_inference_auc)
    assert few == pytest.approx(roc_auc_score(labels[some], SCORES[0][some]))


def test_guesses_are_counted_where_the_label_was_not_granted():
    """The granted row has a guess, too, which is right; all others are held against the labels."""
    labels = helpers.table_data().train.labels
    granted = int(np.setdiff1d(np.flatnonzero(CHOSEN[0] & (labels == 1)), POISON)[0])
    results, asked = reported("guesses", target_ids=(granted,)), np.arange(N) != granted
    assert float(results.label_inference_rate) == pytest.approx(CHOSEN[0][asked].mean())
    assert int(results.label_inference_rate_count) == N - 1
    assert float(results.label_inference_accuracy) == pytest.approx((labels[asked & CHOSEN[0]] == 1).mean())


@pytest.mark.parametrize("by_defense", [False, True])
def test_suspicion_of_training_rows_is_held_against_the_poison_rows(by_defense):
    results = reported(defense="suspicion") if by_defense else reported("suspicion")
    truth = np.isin(np.arange(N), POISON)
    assert_detected(results, truth)


def assert_detected(results, truth):
    expected = {
        "auc": roc_auc_score(truth, SCORES[0]),
        "recall": recall_score(truth, SUSPECTS[0]),
        "false_alarm_rate": SUSPECTS[0][~truth].mean(),
        "precision": precision_score(truth, SUSPECTS[0]),
        "f1": f1_score(truth, SUSPECTS[0]),
    }
    found = {name: float(results[f"train_detection_{name}"]) for name in expected}
    assert found == pytest.approx(expected, abs=1e-6)


def test_rows_that_an_attack_poisons_by_its_own_choice_have_a_rate_and_a_purity_and_are_attacked():
    results = reported("chosen", defense="suspicion")
    labels = helpers.table_data().train.labels
    assert float(results.poisoned_rate) == pytest.approx(CHOSEN[0].mean())
    assert float(results.poisoned_purity) == pytest.approx((labels[CHOSEN[0]] == 1).mean())
    assert_detected(results, CHOSEN[0] | np.isin(np.arange(N), POISON))


def test_the_purity_of_attackers_that_want_different_classes_is_that_of_their_own():
    labels = helpers.table_data().train.labels
    attacks = Reporting(content="chosen"), Reporting(content="other_chosen")
    plan = {"trigger": EmbeddingTrigger(), "party_targets": (0, 2), "target_class": 2}
    results, _ = shared.trained(scenario_of(attacks, plan=plan, target_ids=(0, 5)), helpers.table_data())
    right = sum((labels[rows] == c).sum() for rows, c in zip(CHOSEN, (0, 2), strict=True))
    assert float(results.poisoned_purity) == pytest.approx(right / CHOSEN.sum())
    assert float(results.poisoned_rate) == pytest.approx(CHOSEN.mean())


BAD = {
    "a_text": ("Reporting.report has 'reach', a str",),
    "a_number_as_name": ("Reporting.report has 3", "a word of letters"),
    "a_path": ("Reporting.report has 'far/reach'", "a word of letters"),
    "a_row": ("Reporting.report has 'reach'", "float32", "(48,)"),
    "too_short": ("Reporting.report has 'label_guesses'", "(47,)", "48 training rows"),
    "no_guesses": ("Reporting.report has 'label_guesses'", "float32"),
    "scores": ("Reporting.report has 'label_scores'", "3 classes"),
    "no_flags": ("Reporting.report has 'suspects'", "float32"),
    "alone": ("Reporting.report has 'suspicion' without 'suspects'",),
    "no_rows": ("Reporting.report has 'poisoned_rows'", "(3,)"),
    "clash": ("Reporting.report has 'main_clean'", "name of a metric"),
    "late_clash": ("Reporting.report has 'detection_auc'", "name of a metric"),
    "trained_clash": ("Reporting.report has 'loss'", "name of a metric"),
    "count": ("Reporting.report has 'reach_count'", "count"),
    "of_honest_runs": ("Reporting.report has 'label_guesses_honest'", "honest"),
    "dimension": ("Reporting.report has 'epoch'", "name of a metric"),
}


@pytest.mark.parametrize("content", BAD)
def test_what_a_report_may_not_hold_is_said_with_the_method_and_the_name(content):
    with pytest.raises(ValueError, match=says(*BAD[content])):
        reported(content)


def test_of_a_chain_the_part_is_named_and_what_is_no_dict_is_refused():
    chain = vfl.PartyChain(parts=(HONEST, Reporting(content="a_text")))
    with pytest.raises(ValueError, match=says("Reporting.report has 'reach', a str")):
        shared.trained(scenario_of((HONEST, chain)), helpers.table_data())
    with pytest.raises(ValueError, match=says("Listing.report returns a list", "a dict")):
        shared.trained(scenario_of(defense=Listing()), helpers.table_data())


@vfl.measure
def reach(outcome):
    return jnp.ones_like(outcome.labels)


@vfl.measure
def main_clean(outcome):
    return jnp.ones_like(outcome.labels)


def test_measures_have_names_of_their_own():
    with pytest.raises(ValueError, match=says("metrics has 'main_clean'", "name of a metric")):
        scenario_of(metrics=(main_clean,))
    with pytest.raises(ValueError, match=says("metrics has 'reach' 2 times")):
        scenario_of(metrics=(reach, reach))
    with pytest.raises(ValueError, match=says("A method reports 'reach'", "name of a metric")):
        reported("number", metrics=(reach,))


def test_every_name_of_the_package_is_taken():
    """Of all passes, kinds of reports and answers there are."""
    data = two_classes()
    attacks = (
        Reporting(content="scores"),
        vfl.PartyChain(parts=(Reporting(content="guesses"), Reporting(content="chosen"))),
    )
    defense = vfl.ActiveChain(parts=(Watch(), ReportingDefense(content="suspicion")))
    plan = {"trigger": EmbeddingTrigger(), "party_targets": (1, 1)}
    results, _ = shared.trained(scenario_of(attacks, width=2, defense=defense, plan=plan), data)
    for name in {*map(str, results.variables), *PLAIN}:
        with pytest.raises(ValueError, match="call it something else"):
            check_free("x has", name)
