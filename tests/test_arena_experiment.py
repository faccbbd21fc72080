"""The arena's experiment: which learning rate is taken, whom it trains, and what its page says."""

import dataclasses
import json
import re

import numpy as np
import pytest
import xarray as xr
from data_helpers import needs_data

from experiments.arena import __main__ as experiment
from experiments.arena import again, readers, report, settings, told
from experiments.arena.adaptations import ADAPTATIONS, adaptation_rows
from experiments.arena.answer import answer, leaders, so_far
from experiments.arena.cells import rows_by_board
from experiments.arena.growing import add, grown, lacking
from experiments.arena.kinds import CARRY_A_TRIGGER, concerned, make_board, that_differ
from experiments.arena.rates import largest_good
from experiments.arena.seeds import rows_by_defense, rows_with_more, strongest_on
from experiments.arena.undefended import meetings_beside, those_who_met_defenses
from vfl_jax.arenas import cells
from vfl_jax.arenas.entries import entrants
from vfl_jax.arenas.lineup import ATTACKS, BOARDS, DEFENSES, RATES
from vfl_jax.arenas.standings import lifts, rank_attacks, rank_defenses
from vfl_jax.core.files import load, save
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.triggers import NaturalTrigger


@pytest.mark.parametrize(
    ("accuracy", "taken"),
    [
        ([0.80, 0.85, 0.90, 0.895], 0.3),
        ([0.80, 0.85, 0.90, 0.88], 0.1),
        ([0.90, 0.85, 0.80, float("nan")], 0.01),
        ([0.1, 0.1, 0.1, 0.1], 0.3),
    ],
)
def test_the_largest_rate_near_the_best_is_taken(accuracy, taken):
    assert largest_good((0.01, 0.03, 0.1, 0.3), np.array(accuracy)) == taken


def board(name, strength, cost, attacks=("loud", "quiet"), defenses=("none", "wall")):
    """Results of one board: attacks of two strengths, and a defense that halves them at a cost."""
    dims = ("data", "attack", "defense", "seed")
    success = np.array(strength)[None, :, None, None] * np.array([1.0, 0.5])[None, None, :, None]
    success = np.broadcast_to(success, (1, len(attacks), len(defenses), 5)) + np.linspace(-0.01, 0.01, 5)
    honest = np.broadcast_to(0.9 - np.array([0.0, cost])[None, None, :, None], success.shape)
    return xr.Dataset(
        {
            "attack_success": (dims, success),
            "attack_success_honest": (dims, np.full(success.shape, 0.02)),
            "main_accuracy": (dims, honest - 0.01),
            "main_accuracy_honest": (dims, honest),
            "is_finite_honest": (dims, np.ones(success.shape)),
            "stealth_linf": (dims, np.full(success.shape, 0.1)),
            "reason": (dims[:3], np.full(success.shape[:3], "")),
            "majority": ("data", [0.2]),
            "attacker_share": ("data", [0.5]),
            "target_class": ("data", ["3"]),
            "num_parties": ("data", [2]),
            "num_classes": ("data", [10]),
            "num_test": ("data", [360]),
        },
        {"data": [name], "attack": list(attacks), "defense": list(defenses), "seed": np.arange(5)},
    )


def test_the_answer_names_the_strongest_and_the_cheapest():
    results = report.joined([board("mnist", (0.8, 0.2), 0.005), board("digits", (0.6, 0.2), 0.005)], "there")
    said = answer(results)
    assert said.startswith(
        "**No defense tried holds on any of 2 boards (data sets with their parties).**\n\n* loud is the strongest of 2"
    )
    assert ": it leads 52% of attacked rows to the target class τ, in the mean over boards of the 4 meetings" in said
    assert "; honest runs lead 2%.\n* Without a defense the strongest of these attacks on each board leads 70%" in said
    dear = answer(report.joined([board("mnist", (0.8, 0.2), 0.3)], "there"))
    assert dear.startswith(
        "**No defense tried holds on any of 1 board (a data set with its parties)**: each costs more than 10 percentage"
    )


def test_a_mean_does_not_hide_a_board_on_which_a_defense_stops_nothing():
    kept, lost = board("mnist", (0.9, 0.2), 0.005), board("digits", (0.9, 0.2), 0.005)
    lost["attack_success"] = lost["attack_success"].copy()
    lost["attack_success"].loc[{"defense": "wall"}] = 0.02
    said = answer(report.joined([kept, lost], "there"))
    assert said.startswith(
        "**No defense tried holds on more than 1 of 2 boards (data sets with their parties)**: wall on digits, "
        "at 0.5 percentage points of main accuracy. Without a defense 2 of 2 attacks get through on digits.\n\n* loud"
    )
    assert "| 1 | `wall` | 24% | 1 of 2 | 0.5 percentage points" in leaders(report.joined([kept, lost], "there"))
    suspecting = lost.assign(detection_false_alarm_rate_honest=lost["main_accuracy"] * 0 + 0.3)
    said = answer(report.joined([kept, suspecting], "there"))
    assert "points of main accuracy, suspecting 30% of honest rows. Without a defense" in said
    held = answer(report.joined([lost, lost.assign_coords(data=["mnist"])], "there"))
    assert held.startswith("**wall holds on all 2 boards (data sets with their parties)**, at 0.5")


def test_a_defense_that_holds_on_more_at_a_higher_price_is_named():
    results = board("mnist", (0.9, 0.2), 0.005, defenses=("none", "wall")).copy(deep=True)
    dear = results.sel(defense=["wall"]).assign_coords(defense=["moat"]).copy(deep=True)
    dear["main_accuracy_honest"] -= 0.05
    dear["attack_success"] = dear["attack_success"] * 0 + 0.05
    said = answer(xr.concat([results, dear], "defense", data_vars="all"))
    assert said.startswith(
        "**moat holds on 1 board (a data set with its parties)**, at 5.5 percentage points of main accuracy. "
        "Of those that cost at most 1 percentage point of main accuracy, none holds on any.\n\n* loud is"
    )


def test_a_defense_without_a_rank_that_holds_a_board_is_counted():
    kept, lost = board("mnist", (0.9, 0.2), 0.005), board("digits", (0.9, 0.2), 0.005)
    moat = lost.sel(defense=["wall"]).assign_coords(defense=["moat"]).copy(deep=True)
    moat["attack_success"] = moat["attack_success"] * 0 + 0.05
    results = report.joined([kept, xr.concat([lost, moat], "defense", data_vars="all")], "there")
    said = answer(results)
    assert said.startswith(
        "**No defense tried holds on more than 1 of 2 boards (data sets with their parties)**: moat on digits, at 0.5"
    )


def test_ties_are_named_together():
    results = report.joined([board("mnist", (0.5, 0.5), 0.005)], "there")
    assert ".**\n\n* loud and quiet are the strongest of 2 attacks that met nearly all of these defenses: " in answer(
        results
    )


def test_a_page_says_how_much_of_the_line_up_it_has():
    results = report.joined([board("mnist", (0.5, 0.5), 0.005)], "there")
    said = so_far(results)
    assert f"1 of 7 boards, 2 of {len(ATTACKS)} attacks, 1 of {len(DEFENSES)} defenses, 1 of them on nearly " in said
    assert all(name in said for name in ("LMP", "PMP", "BAEVFL", "HASSLE", "HijackVFL"))


def test_every_defense_says_its_numbers_and_the_privacy_that_it_buys():
    found = {row["defense"]: row for row in settings.rows()}
    assert list(found) == list(DEFENSES)
    assert found["GaussianNoise"]["set to"] == "`GaussianNoise(stddev=0.01)`"
    assert found["DCAE"]["set to"] == "`CAE()` + `DiscreteGradients(bins=12)`"
    buys = [name for name, row in found.items() if not str(row["buys"]).startswith("none: ")]
    assert buys == ["RandomisedResponse", "ALIBI"]
    assert str(found["ALIBI"]["buys"]).startswith("(2, 0) for a label: ")


def test_every_defense_has_an_adaptation():
    assert set(DEFENSES) == {name for adaptation in ADAPTATIONS for name in adaptation.defenses}
    assert {name for adaptation in ADAPTATIONS for name in adaptation.attacks} <= set(ATTACKS)
    assert all(adaptation.attacks or adaptation.elsewhere for adaptation in ADAPTATIONS)


def test_an_adaptation_stands_beside_the_others_in_the_same_place():
    """Where the defense ruins honest runs, nothing counts."""
    names = {"attacks": ("FreshReplacement-sum", "quiet"), "defenses": ("none", "Sparsification")}
    boards = [board("mnist", (0.8, 0.2), 0.005, **names), board("digits", (0.6, 0.9), 0.005, **names)]
    met, not_met = adaptation_rows(report.joined(boards, "there"))
    (row,) = met
    assert row["defense"] == "`Sparsification`"
    assert (row["lift"], row["on"], row["of others there"]) == ("0.38, FreshReplacement-sum", "mnist", "0.08, quiet")
    assert "`Sparsification`" not in {row["defense"] for row in not_met}
    assert "`VFLIP`" in {row["defense"] for row in not_met}
    ruined = [board("mnist", (0.8, 0.2), 0.5, **names), boards[1]]
    (row,), _ = adaptation_rows(report.joined(ruined, "there"))
    assert (row["lift"], row["on"]) == ("0.28, FreshReplacement-sum", "digits")
    assert adaptation_rows(report.joined(ruined[:1], "there"))[0] == []


def test_a_page_has_every_board_and_what_is_lacking(tmp_path):
    mnist = board("mnist", (0.8, 0.2), 0.005)
    mnist.encoding["run"] = {
        **{"started": "2026-11-29T01:00:00Z", "wall_seconds": 7300.0},
        **{"devices": ["cpu"], "machine": "x86_64", "python": "3.11.7"},
    }
    save(described(mnist), tmp_path / "mnist.nc")
    save(described(board("digits", (0.6, 0.3), 0.005, attacks=("loud", "late"))), tmp_path / "digits.nc")
    save(described(board("mnist", (0.9, 0.1), 0.005, attacks=("summed", "late"))), tmp_path / "mnist_sum.nc")
    report.write_report(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert text.index("strongest of 3 attacks") < text.index("heat_map.png") < text.index("| rank | attack |")
    assert "Attacks have the numbers of their places above: 1 loud, 2 late, 3 quiet." in text
    assert "| defense | honest runs | 1 | 2 | 3 |" in text
    assert "| none | 0.90 | 0.78 | – | 0.18 |" in text  # late is not on this board
    assert "| loud | 7 of τ, 3 of every class | 0.900 | 0% |" in text
    assert text.index("### The sum head") < text.index("summed")
    assert "| PassiveModelCompletion | reads labels" in text
    assert "| trainable | mnist | 0.9581 |" in text
    assert "| 0.9748 | – | 0.3 |" in text  # no rate of 1 was tried under the sum head
    assert "| mnist | trainable head | 4 | 5 | 2.0 h | 2026-11-29 |" in text
    assert "| digits | trainable head |" not in text  # its file does not say
    assert (tmp_path / "heat_map.png").is_file()
    assert (tmp_path / "pareto.png").is_file()


def test_attacks_that_met_no_defense_stand_in_a_table_of_their_own(tmp_path):
    """They take no rank from those that did; what they do to single defenses is told, and takes a holding."""
    held = board("mnist", (0.8, 0.2), 0.005)
    held["attack_success"] = held["attack_success"].copy()
    held["attack_success"].loc[{"defense": "wall"}] = 0.02
    late = board("mnist", (0.9,), 0.005, attacks=("late",)).sel(defense=["none"])
    results = report.joined([grown(described(held), described(late))], "there")
    assert those_who_met_defenses(results)["attack"].values.tolist() == ["loud", "quiet"]
    assert answer(results).startswith("**wall holds on 1 board (a data set with its parties)**")
    assert "loud is the strongest of 2 attacks that met" in answer(results)
    assert f"2 of {len(ATTACKS)} attacks (3 without a defense, each on 1 boards or more), 1 of" in so_far(results)
    save(grown(described(held), described(late)), tmp_path / "mnist.nc")
    report.write_report(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    ranks, undefended = text.split("### Without a defense")
    assert not re.search(r"\blate\b", ranks)
    assert undefended.index("| 1 | late | 0.880 [") < undefended.index("| 2 | loud |")
    assert "| attack | mnist |\n| --- | --- |\n| late | 0.88 |" in undefended
    assert "More attacks on some defenses" not in undefended
    through = board("mnist", (1.0,), 0.005, attacks=("late",), defenses=("none", "wall")).sel(defense=["wall"])
    more = grown(grown(described(held), described(late)), described(through))
    more = grown(more, described(held.sel(defense=["wall"]).assign_coords(defense=["moat"])))
    (row,) = meetings_beside(report.joined([more], "there"))
    assert (row["data"], row["defense"], row["attack"]) == ("mnist", "wall", "late")
    assert row["lift"].startswith("0.480 [")
    assert "wall holds" not in answer(report.joined([more], "there"))


def test_attacks_that_met_no_defense_anywhere_move_nobody():
    """Not even where a board has no defense at all."""
    full, bare = board("mnist", (0.8, 0.2), 0.005), board("digits", (0.9, 0.9), 0.0).sel(defense=["none"])
    bare = bare.assign_coords(attack=["late", "loud"])
    results = report.joined([full, bare], "there")
    assert sorted(those_who_met_defenses(results)["attack"].values) == ["loud", "quiet"]


def recorded(met):
    """In place of an arena: notes who was to meet at which seeds, and returns results of nobody."""

    def arena(attacks, defenses, _, seeds, **__):
        met.append((attacks, defenses, seeds))
        return xr.Dataset(coords={"defense": ["none", *defenses]})

    return arena


def test_runs_without_a_defense_that_a_file_has_stay(monkeypatch, tmp_path):
    """An arena always trains them; they would take the place of the first, and equal seeds end a little apart."""
    added = []
    monkeypatch.setattr(experiment, "arena", recorded([]))
    monkeypatch.setattr(experiment, "add", lambda found, _: added.append(found["defense"].values.tolist()))
    names = {"attacks": ("PoisonedData", "Replay"), "defenses": ("none", "Clipping")}
    save(described(board("digits", (0.2, 0.8), 0.005, **names)), tmp_path / "digits.nc")
    given = experiment.Arguments(only=("digits",), attack=("Replay",), defense=("Clipping", "MID"))
    experiment.train(given, tmp_path)
    experiment.train(dataclasses.replace(given, seeds=6), tmp_path)
    assert added == [["MID"], ["none", "Clipping"], ["MID"]]


def test_no_defense_needs_to_be_met(monkeypatch, tmp_path):
    met = []
    monkeypatch.setattr(experiment, "arena", recorded(met))
    monkeypatch.setattr(experiment, "add", lambda *_: None)
    given = experiment.Arguments(only=("digits",), attack=("Replay",), undefended=True)
    experiment.train(given, tmp_path)
    experiment.train(experiment.Arguments(quick=True, undefended=True), tmp_path)
    (attacks, none, _), (_, none_of_few, _) = met
    assert (list(attacks), none, none_of_few) == (["Replay"], {}, {})
    with pytest.raises(ValueError, match="undefended asks for no defense, and defense names one"):
        experiment.train(dataclasses.replace(given, defense=("Clipping",)), tmp_path)


def test_more_seeds_are_trained_of_those_who_were_strongest(monkeypatch, tmp_path):
    """Without a defense everybody gets them; of the seeds that a file has none is trained again."""
    met = []
    monkeypatch.setattr(experiment, "arena", recorded(met))
    monkeypatch.setattr(experiment, "add", lambda *_: None)
    names = {"attacks": ("PoisonedData", "Replay"), "defenses": ("none", "Clipping")}
    save(described(board("digits", (0.2, 0.8), 0.005, **names)), tmp_path / "digits.nc")
    experiment.train(experiment.Arguments(only=("digits",), seeds=7, strongest=1), tmp_path)
    assert [(list(a), list(d), seeds) for a, d, seeds in met] == [
        (["PoisonedData"], [], [5, 6]),
        (["Replay"], ["Clipping"], [5, 6]),
    ]


def test_rows_with_a_natural_trigger_say_nothing_of_triggers_in_messages():
    results = described(board("mnist", (0.8, 0.2), 0.005))
    results.attrs["attacks"] = results.attrs["attacks"].replace(
        '"num_targets": 7', '"num_targets": 7, "trigger": "plan"'
    )
    results.attrs["attacks"] = results.attrs["attacks"].replace('"plan"', '"message"', 1)
    assert that_differ(results, "natural")["attack"].values.tolist() == ["quiet"]
    assert that_differ(results, "sum")["attack"].values.tolist() == ["loud", "quiet"]


def test_boards_of_natural_triggers_train_no_attack_whose_trigger_is_in_the_message():
    made = make_board("digits", "natural")
    assert list(concerned(ATTACKS, made, "sum")) == list(ATTACKS)
    named = list(concerned(ATTACKS, made, "natural"))
    assert {"PoisonedData", "GradientReplacement", "FreshReplacement-500"} <= set(named)
    assert not {"BASL", "Replay", "TECB", "Villain"} & set(named)


def test_who_is_told_every_row_of_the_target_class_knows_all_of_them():
    made = make_board("digits", "told")
    rows = int((np.asarray(made.data.train.labels) == made.scenario.poison.target_class).sum())
    found = concerned(ATTACKS, made, "told")
    assert {"BASL-30", "LearnedMessage", "Replay"} <= set(found)
    assert not {"PoisonedData", "FreshReplacement-500", "LFBA"} & set(found)  # triggers on features, or one known row
    for attack, needs in found.values():
        assert made.meeting(attack, DEFENSES["Clipping"], needs).poison.num_targets == rows
    assert make_board("digits", "trainable").most_known[made.scenario.poison.target_class] == rows // 10


def test_the_table_of_who_is_told_all_says_which_defense_holds():
    held = board("mnist", (0.8, 0.2), 0.005)
    held["attack_success"] = held["attack_success"].copy()
    held["attack_success"].loc[{"defense": "wall"}] = 0.03
    results = report.joined([held], "there")
    undefended, wall = rows_by_board(results)
    assert (undefended["holds"], wall["holds"], wall["honest runs"]) == ("not shown", "yes", "0.89")
    assert undefended["loud"].startswith("0.780 [")
    assert wall["quiet"] == "0.010 [0.010, 0.010]"
    assert told.line(results, results) == (
        "* Told every row of τ, not a tenth at most, none was seen to get through wall on mnist."
    )
    through = report.joined([board("mnist", (0.8, 0.5), 0.005)], "there")
    assert told.line(results, through) == (
        "* Told every row of τ, not a tenth at most, 2 of 2 attacks get through wall on mnist (loud leads 38% "
        "more than honest runs do)."
    )
    assert told.line(through, results) == ""  # of a defense that does not hold, nothing is to be said
    reads = held.sel(attack=["loud"]).assign_coords(attack=["loud-read"]).copy(deep=True)
    reads["attack_success"].loc[{"defense": "wall"}] = 0.05
    both = report.joined([xr.concat([held, reads], "attack", data_vars="minimal")], "there")
    assert told.line(both, results).endswith(
        " The attacks tried that read labels and overwrite what they read (loud-read) lead at most 3% more than honest "
        "runs do there."
    )


def test_readers_listen_where_they_can_and_all_in_one_run():
    """Of ten classes two tell nothing apart, and a sign needs an entry per class: these say why they cannot be here."""
    made = make_board("digits", "readers")
    assert concerned(readers.READERS, made, "readers") == readers.READERS
    groups, reasons = cells.groups("digits", made, entrants(readers.READERS, made.epochs), {"none": ActiveTransform()})
    assert [group.attacks for group in groups] == [("Readers",)]
    assert "two classes apart" in reasons["Readers-two", "none"]
    assert "Readers-sign" in {attack for attack, _ in reasons}
    assert groups[0].scenario.poison.num_known == 10


def read_board(name, two_classes=False):
    """Results of readers on one board: "pooled" reads all behind none and half behind the wall, "alone" reads 0.4."""
    found = board(name, (0.0,), 0.005, attacks=("Readers",))
    shape = found["main_accuracy"].dims
    for way, shares in {"pooled": (1.0, 0.5), "alone": (0.4, 0.4)}.items():
        values = np.broadcast_to(np.array(shares)[None, None, :, None], (1, 1, 2, 5))
        found[f"label_inference_accuracy_{way}"] = (shape, values)
        found[f"label_inference_accuracy_{way}_honest"] = (shape, values)
        found[f"label_inference_rate_{way}"] = (shape, np.ones(values.shape))
        if two_classes:
            found[f"label_inference_auc_{way}"] = (shape, (values + 1.0) / 2.0)
    return found.assign(is_finite=found["is_finite_honest"])


def test_the_table_of_readers_has_the_best_with_messages_and_without():
    results = report.joined([read_board("mnist"), read_board("credit", two_classes=True)], "there")
    late = read_board("mnist").assign_coords(seed=np.arange(3, 8))  # of equal seeds alone a median and a price are told
    assert readers.rows(report.joined([results.sel(data=["credit"]), late], "there"))[1]["mnist"].endswith("(-0.005)")
    none, wall = readers.rows(results)
    assert none == {
        "defense": "none",
        "mnist": "1.000 pooled, without 0.400",
        "credit": "1.000 pooled, without 0.700",
    }
    assert wall["defense"] == "wall"
    assert wall["mnist"] == "0.500 pooled, without 0.400 (-0.005)"
    assert wall["credit"] == "0.750 pooled, without 0.700 (-0.005)"


def test_the_score_of_both_kinds_is_the_mean_of_the_two_on_the_boards_of_both():
    planted = report.joined([board("mnist", (0.8, 0.2), 0.005), board("digits", (0.9, 0.9), 0.4)], "there")
    read, planted = (
        of.reindex(defense=["none", "wall", "moat"]).assign(
            reason=of["reason"].reindex(defense=["none", "wall", "moat"], fill_value="")
        )
        for of in (report.joined([read_board("mnist")], "there"), planted)
    )  # nobody met at the moat
    wall, none = readers.score_rows(read, planted)
    assert [wall["defense"], none["defense"]] == ["wall", "none"]
    for row in (wall, none):
        assert float(row["C-DCS"]) == pytest.approx(
            (float(row["T-DCS, backdoors"]) + float(row["T-DCS, labels"])) / 2, abs=0.001
        )
    alone = [1 / (1 + np.sqrt((0.01**2 + right**2) / 2)) for right in (1.0, 0.4)]
    assert float(none["T-DCS, labels"]) == pytest.approx(np.mean(alone), abs=0.001)


def test_results_of_other_kinds_alone_are_kept_and_have_no_page(tmp_path, capsys):
    save(described(read_board("digits")), tmp_path / "digits_readers.nc")
    report.write_report(tmp_path)
    assert "no board of the trainable head, so no page is written" in capsys.readouterr().out
    assert not (tmp_path / "tables.md").exists()


@needs_data
@pytest.mark.parametrize("name", CARRY_A_TRIGGER)
def test_so_many_rows_carry_a_trigger_by_nature(name):
    made = BOARDS[name](trigger=NaturalTrigger())
    rows, target = made.data.test, made.scenario.poison.target_class
    assert (rows.has_trigger & (np.asarray(rows.labels) != target)).sum() == CARRY_A_TRIGGER[name]


@pytest.mark.parametrize(
    ("file", "defense", "attack", "said"),
    [
        ("mnist_4_told", "MID", "BASL", "`BASL` leads 0.41"),
        ("mnist_4_told", "MID", "LearnedMessage-30", "`LearnedMessage-30` 0.36"),
        ("handwritten_told", "VFLIP", "BASL-30", "`BASL-30` leads 0.21"),
        ("handwritten_told", "VFLIP", "LearnedMessage-30", "`LearnedMessage-30` 0.29"),
        ("default_credit", "none", "PoisonedData-target", "leads 0.95 of default of credit"),
        ("default_credit", "none", "LFBA", "`LFBA` leads 0.96"),
        ("default_credit", "none", "GOFA", "`GOFA` 0.89"),
        ("bank_marketing", "none", "NoisyFeatures", "noisy features lead 0.17"),
        ("bank_marketing", "none", "MissingFeatures", "missing ones 0.20"),
        ("bank_marketing", "none", "SignFlip", "flipped gradients 0.15"),
        ("bank_marketing", "none", "LFBA", "`LFBA` leads 0.24"),
        ("mnist_4", "MID", "BASL-read", "reads at most 0.37 of the labels and leads 0.01"),
        ("handwritten", "VFLMonitor", "LearnedMessage-30-read", "leads at most 0.03"),
        ("handwritten", "VFLIP", "LearnedMessage-30-read", "past VFLIP the long message leads 0.23"),
        ("handwritten_sum", "none", "LabelReplacement", "0.81 without a defense"),
        ("handwritten_sum", "CAE", "LabelReplacement", "-0.01 behind it"),
        ("handwritten_sum", "CAE", "DictionaryReplacement", "0.87 behind CAE"),
        ("handwritten_sum", "DCAE", "DictionaryReplacement", "0.63 behind DCAE"),
    ],
)
def test_sentences_on_adaptations_have_the_numbers_of_the_results(file, defense, attack, said):
    results = load(report.README.parent / "results" / f"{file}.nc")
    mean = float(lifts(results).isel(data=0).sel(defense=defense, attack=attack).mean())
    assert re.findall(r"-?\d\.\d\d", said)[-1] == f"{mean:z.2f}"
    assert said in report.README.read_text()


def test_the_table_of_what_helps_has_the_numbers_of_the_results():
    """It is written by hand, because its choice of rows is."""
    table = report.README.read_text().partition("**Not every adaptation helps.**")[2].partition("**A fresh")[0]
    rows = [re.findall(r"`([^`]+)`|(-?\d\.\d\d)", line) for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == 5
    for (defense, _), (attack, _), *numbers in rows:
        found = []
        for name in ("bank_marketing", "mnist"):
            results = load(report.README.parent / "results" / f"{name}.nc").sel(seed=range(5))
            means = lifts(results).isel(data=0).sel(defense=defense).mean("seed")
            found += [f"{float(means.sel(attack=who)):z.2f}" for who in (attack, "FreshReplacement-500")]
        assert [number for _, number in numbers] == found


def test_a_folder_without_results_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results of a board"):
        report.page(tmp_path)


@pytest.mark.parametrize("flag", ["only", "attack", "defense"])
def test_unknown_names_are_refused_before_anything_is_loaded(flag, tmp_path):
    given = dataclasses.replace(experiment.Arguments(), **{flag: ("nobody",)})
    with pytest.raises(ValueError, match=f"{flag} names 'nobody'; there are"):
        experiment.train(given, tmp_path)


@pytest.mark.long
def test_a_quick_run_writes_a_page(tmp_path):
    experiment.main(["--quick", "--out", str(tmp_path)])
    assert "strongest of 2 attacks" in (tmp_path / "tables.md").read_text()


def test_the_line_up_takes_the_rates_that_honest_runs_chose():
    found = json.loads((report.README.parent / "results" / "rates.json").read_text())
    taken = {head: {name: of["chosen"] for name, of in of_head.items()} for head, of_head in found.items()}
    assert taken == RATES


def described(results, rate=0.3):
    """Results of a board with what an arena says of them."""
    data, attacks, defenses = (results[name].values.tolist() for name in ("data", "attack", "defense"))
    needs = {"num_targets": 7, "num_known": 3}
    said = {
        "boards": {name: {"record": "Scenario", "rate": rate} for name in data},
        "attacks": {
            name: {attack: {"record": attack, "enabled": 1.0, "needs": needs} for attack in attacks} for name in data
        },
        "defenses": {defense: {"record": defense} for defense in defenses},
    }
    return results.assign_attrs({part: json.dumps(content) for part, content in said.items()})


def test_a_file_grows_into_what_one_arena_would_have_found(tmp_path):
    whole = described(board("mnist", (0.8, 0.2), 0.005, attacks=("loud", "quiet")))
    run = {"started": "2026-11-29T01:00:00Z", "devices": ["cpu"], "machine": "x86_64", "python": "3.11.7"}
    for defense, seconds in (("none", 60.0), ("wall", 30.0)):
        part = described(whole.sel(defense=[defense]))
        part.encoding["run"] = run | {"wall_seconds": seconds}
        add(part, tmp_path / "mnist.nc")
    found = load(tmp_path / "mnist.nc")
    xr.testing.assert_identical(found, whole)
    assert found.encoding["run"]["wall_seconds"] == 90


def test_what_another_file_lacks_at_a_seed_stays():
    """Two files of one board may have grown side by side, each with more seeds of other attacks."""
    whole = described(board("mnist", (0.8, 0.2), 0.005))
    values = [name for name, variable in whole.items() if "seed" in variable.dims]
    parts = []
    for attack in ("loud", "quiet"):
        part = whole.copy(deep=True)
        is_there = (part["seed"] < 3) | (part["attack"] == attack)
        parts.append(part.assign({name: part[name].where(is_there) for name in values}))
    xr.testing.assert_identical(grown(*parts)[values], whole[values])


def test_the_last_word_on_a_meeting_counts_and_who_did_not_meet_has_no_numbers():
    first = described(board("mnist", (0.8, 0.2), 0.005))
    later = described(board("mnist", (0.6, 0.1), 0.005, attacks=("loud", "late"), defenses=("none", "moat")))
    later["reason"] = later["reason"].where(later["attack"] != "late", "has no time")
    found = grown(first, later)
    assert found["attack"].values.tolist() == ["loud", "quiet", "late"]
    assert found["defense"].values.tolist() == ["none", "wall", "moat"]
    success = found["attack_success"].isel(data=0).median("seed")
    np.testing.assert_allclose(success, [[0.6, 0.4, 0.3], [0.2, 0.1, np.nan], [0.1, np.nan, 0.05]])
    assert found["reason"].values[0].tolist() == [["", "", ""], ["", "", ""], ["has no time", "", "has no time"]]
    assert set(json.loads(found.attrs["attacks"])["mnist"]) == {"loud", "quiet", "late"}


def test_seeds_that_were_found_before_stay_beside_new_ones():
    """A seed that both have has the last word; a meeting that is refused now has no numbers any more."""
    first = described(board("mnist", (0.8, 0.2), 0.005))
    later = described(first.sel(attack=["loud"]).isel(seed=[3, 4]).assign_coords(seed=[4, 5]).copy(deep=True))
    later["attack_success"] = later["attack_success"] * 0 + 0.5
    later["reason"] = later["reason"].where(later["defense"] != "wall", "has no time")
    found = grown(first, later)
    assert found["seed"].values.tolist() == [0, 1, 2, 3, 4, 5]
    loud = found["attack_success"].sel(attack="loud", defense="none").values[0]
    np.testing.assert_array_equal(loud[:4], first["attack_success"].sel(attack="loud", defense="none").values[0][:4])
    np.testing.assert_array_equal(loud[4:], 0.5)
    assert np.isnan(found["attack_success"].sel(attack="quiet", seed=5)).all()
    assert found["reason"].sel(attack="loud").values.tolist() == [["", "has no time"]]
    assert np.isnan(found["attack_success"].sel(attack="loud", defense="wall", seed=[0, 1, 2, 3])).all()


def test_only_what_a_file_lacks_is_trained(tmp_path):
    file = tmp_path / "mnist.nc"
    assert list(lacking(file, ["loud", "quiet"], ["wall"], 2)) == [(["loud", "quiet"], ["none", "wall"], [0, 1])]
    first = described(board("mnist", (0.8, 0.2), 0.005))
    add(first, file)
    assert list(lacking(file, ["loud", "quiet"], ["wall"], 5)) == []
    assert list(lacking(file, ["loud", "quiet"], ["wall"], 7)) == [(["loud", "quiet"], ["none", "wall"], [5, 6])]
    add(described(first.sel(attack=["loud"]).isel(seed=[0]).assign_coords(seed=[5])), file)
    found = list(lacking(file, ["loud", "quiet", "late"], ["wall", "moat"], 6))
    assert found == [
        (["loud"], ["moat"], [0, 1, 2, 3, 4, 5]),
        (["quiet"], ["none", "wall"], [5]),
        (["quiet"], ["moat"], [0, 1, 2, 3, 4, 5]),
        (["late"], ["none", "wall", "moat"], [0, 1, 2, 3, 4, 5]),
    ]
    refused = described(first.sel(attack=["loud"], defense=["wall"]).assign_coords(defense=["moat"]))
    refused["reason"] = refused["reason"].where(False, "has no time")
    add(refused, file)
    assert list(lacking(file, ["loud"], ["wall", "moat"], 6)) == []


def test_a_meeting_of_other_numbers_is_not_added():
    saved, found = (described(board("mnist", (0.8, 0.2), 0.005), rate) for rate in (0.3, 0.1))
    with pytest.raises(ValueError, match="saved: boards has 'mnist' with other numbers"):
        grown(saved, found)
    found = described(board("mnist", (0.8, 0.2), 0.005))
    found.attrs["attacks"] = found.attrs["attacks"].replace('"enabled": 1.0', '"enabled": 0.5', 1)
    with pytest.raises(ValueError, match=r"attacks\.mnist has 'loud' with other numbers"):
        grown(saved, found)


def test_more_seeds_of_the_strongest_stand_beside_the_first_and_move_no_rank():
    five = described(board("mnist", (0.8, 0.2), 0.005))
    assert strongest_on(five, 1) == {"loud": ["wall"], "quiet": []}
    more = described(five.sel(attack=["loud"], defense=["wall"]))
    more = xr.concat([more, more.assign_coords(seed=np.arange(5, 10))], "seed", data_vars="minimal")
    more["reason"] = five["reason"].sel(attack=["loud"], defense=["wall"])
    more["attack_success"] = more["attack_success"].where(more["seed"] < 5, 0.9)
    results = report.joined([grown(five, described(more)), board("digits", (0.8, 0.2), 0.005)], "there")
    assert [rank_attacks(results), rank_defenses(results)] == [
        rank(results.sel(seed=np.arange(5))) for rank in (rank_attacks, rank_defenses)
    ]
    (row,) = rows_with_more(results)
    assert {name: row[name] for name in ("data", "defense", "attack", "seeds")} == {
        **{"data": "mnist", "defense": "wall", "attack": "loud", "seeds": "10"}
    }
    assert row["lift"].startswith("0.630 ")
    assert row["of the first"].startswith("0.380 ")
    assert row["of those since"].startswith("0.880 ")
    assert rows_by_defense(results) == [
        {
            **{"defense": "wall", "meetings": "1", "lift, first seeds": "0.380", "lift, seeds since": "0.880"},
            "largest change of a meeting": "+0.50, loud on mnist",
        }
    ]
    ten = board("digits", (0.8, 0.2), 0.005)  # the first seeds choose on every board, however many all meetings have
    ten = xr.concat([ten, ten.assign_coords(seed=np.arange(5, 10))], "seed", data_vars="minimal")
    ten["attack_success"] = ten["attack_success"].where((ten["seed"] < 5) | (ten["attack"] == "loud"), 0.9)
    assert strongest_on(ten, 1) == {"loud": ["wall"], "quiet": []}
    assert [row["meetings"] for row in rows_by_defense(ten)] == ["2", "2"]
    assert "5 seeds" in so_far(results)


def test_runs_once_more_are_held_against_the_first(tmp_path):
    first = board("mnist", (0.8, 0.2), 0.005)
    other = first.sel(defense=["none"]).copy(deep=True)
    other["attack_success"].loc[{"attack": "quiet", "seed": 3}] += 0.4
    other["main_accuracy_honest"].loc[{"attack": "loud", "seed": 0}] -= 0.03
    save(described(other), tmp_path / "again" / "mnist.nc")
    loud, quiet = again.rows(report.joined([first, board("digits", (0.8, 0.2), 0.005)], "there"), tmp_path)
    figures = ("attack success", "again", "largest difference of a seed", "honest main accuracy, largest difference")
    assert [loud[name] for name in figures] == ["0.80", "0.80", "0.00", "0.030"]
    assert [quiet[name] for name in figures] == ["0.20", "0.28", "0.40", "0.000"]
