"""Audits: what results say in three sentences, what fits into the time, and a whole audit of two small tables."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.audits import battery, partner
from vfl_jax.audits.baselines import alone, baselines
from vfl_jax.audits.clock import PLANTING, READING, Clock, Planned
from vfl_jax.audits.findings import Defended, Findings, Range
from vfl_jax.audits.measured import Measured
from vfl_jax.audits.numbers import findings
from vfl_jax.audits.pictures import picture
from vfl_jax.audits.rounds import ROUND, Running
from vfl_jax.audits.sentences import cost, sentences
from vfl_jax.audits.setting import Setting, largest_party, subsample
from vfl_jax.audits.sizes import MessageSizes
from vfl_jax.audits.tables import short_rows
from vfl_jax.cli import auditing
from vfl_jax.cli.commands import main
from vfl_jax.cli.own_tables import OwnTables
from vfl_jax.cli.subcommands import Audit
from vfl_jax.core.record import numbers


def near(value, width=0.01):
    return Range(value, value - width, value + width)


def defended(name="none", accuracy=0.9, read=0.97, planted=0.9, lift=0.89, cost=None, auc=None, **more):
    """The runs behind a defense; by default everything leaks."""
    lost = near(0.9 - accuracy, 0.002) if cost is None else cost
    return Defended(
        name=name,
        words=f"the defense {name}",
        accuracy=near(accuracy),
        cost=lost,
        auc=auc,
        read=near(read),
        reader="direction",
        most_read=more.pop("most_read", read + 0.01),
        read_auc=more.get("read_auc"),
        most_read_auc=more.pop("read_auc").high if more.get("read_auc") else 0.0,
        planted=None if planted is None else near(planted),
        lift=None if lift is None else near(lift),
        most_lift=more.pop("most_lift", (lift or 0.0) + 0.01),
        attack="BASL",
        loss=more.pop("loss", None),
        floor=more.pop("floor", 0.01),
    )


def made_up(*others, plain=None, **changes):
    facts = {
        "partner": "shop",
        "wanted": "fraud",
        "defended": (plain or defended(), *others),
        "num_seeds": 10,
        "majority": 0.78,
        "majority_read": 0.78,
        "alone": near(0.7, 0.0),
        "alone_auc": None,
        "num_test": 500,
        "num_read": 2000,
        "num_rarest": 400,
        "num_attacked": 390,
    }
    return Findings(**(facts | changes))


def test_a_leak_that_a_defense_stops_at_a_cost():
    noise = defended("noise 1×", accuracy=0.88, read=0.79, planted=0.02, lift=0.01)
    reading, planting, stopping = sentences(made_up(noise))
    assert reading == (
        "A malicious “shop” could read 97% of your labels (naming the most frequent label for all would give 78%; "
        "by its own features alone it names 70%)."
    )
    assert planting == (
        "It could also plant a backdoor, by which 90% of the rows it attacks are predicted as “fraud” (without an "
        "attack 1% are)."
    )
    wanted = (
        "Of the 1 defense tried, the defense noise 1× would stop both, at a cost of 2.0 percentage points of accuracy "
        "(1.8 to 2.2)."
    )
    assert stopping == wanted


def test_the_cheapest_of_those_that_stop_is_named_and_a_ruined_model_is_no_defense():
    dear = defended("dear", accuracy=0.86, read=0.79, planted=0.02, lift=0.01)
    cheap = defended("cheap", accuracy=0.897, read=0.79, planted=0.02, lift=0.01)
    ruined = defended("ruined", accuracy=0.80, read=0.5, planted=0.0, lift=0.0, cost=near(-0.2))
    assert "defense cheap would stop both" in sentences(made_up(dear, cheap, ruined))[2]
    assert sentences(made_up(ruined))[2] == "No defense of the 1 tried stops either and leaves the model useful."


def test_defenses_that_stop_one_thing_each_are_told_apart():
    quiet, firm = defended("quiet", read=0.79), defended("firm", planted=0.02, lift=0.01)
    said = sentences(made_up(quiet, firm))[2]
    assert says(said, "quiet would stop the reading", "firm would stop the backdoors", "none of the 2 tried stops both")
    said = sentences(made_up(quiet))[2]
    assert says(said, "quiet would stop the reading", "no defense of the 1 tried stops the backdoors")


def test_the_picture_marks_what_needs_no_reading():
    """Dashed lines: the share of the most frequent class, and what is named by the party's own features alone."""
    marks = [
        [(line.get_xdata()[0], line.get_label()) for line in panel.lines if line.get_linestyle() == "--"]
        for panel in picture(made_up(defended("noise"), alone=near(0.85))).axes
    ]
    assert marks == [[(0.78, "most frequent class")], [(0.85, "no joint training")], []]


NEITHER = "Neither was shown, so no defense can be judged."


def test_a_defense_was_not_needed_only_where_both_were_settled():
    quiet = defended(read=0.79, planted=0.02, lift=0.01)
    assert "no defense was needed" in sentences(made_up(plain=quiet))[2]
    unsettled = dataclasses.replace(quiet, lift=Range(0.1, 0.02, 0.2), most_lift=0.2)
    for open_ in (
        made_up(plain=unsettled),
        made_up(plain=quiet, num_attacked=5),
        made_up(plain=quiet, num_rarest=5),
        made_up(plain=dataclasses.replace(quiet, floor=0.7)),
        made_up(plain=dataclasses.replace(quiet, planted=None, lift=None)),
    ):
        assert sentences(open_)[2] == NEITHER


def test_the_second_sentence_names_the_party_where_the_first_found_nothing():
    planting = sentences(made_up(plain=defended(read=0.79)))[1]
    assert planting.startswith("A malicious “shop” could plant a backdoor, by which 90%")
    open_ = dataclasses.replace(defended(), lift=Range(0.1, 0.02, 0.2))
    assert sentences(made_up(plain=open_))[1].startswith("10 seeds do not settle whether “shop” could plant a backdoor")


def test_an_attack_that_ruins_the_model_plants_no_backdoor():
    ruined = defended(loss=near(0.3), most_lift=0.0)
    found = made_up(plain=ruined)
    assert found.plants(ruined) is False
    assert says(
        sentences(found)[1], "No backdoor that was tried worked: 90%", "takes 30.0 percentage points of accuracy"
    )
    assert found.plants(defended(loss=near(0.02))) is True
    table = results()
    table["accuracy_attacked"][0, 1] = 0.5  # the strongest
    plain = findings(table).undefended
    assert (plain.attack, plain.is_ruined) == ("BASL", False)
    assert plain.most_lift < 0.2
    table["accuracy_attacked"][0, 0] = 0.5
    plain = findings(table).undefended
    assert (plain.attack, plain.is_ruined, plain.most_lift) == ("replay", True, 0.0)
    assert findings(table).plants(plain) is False
    table["accuracy_attacked"][0, 1, :4] = 0.85  # of seeds that do not settle whether it ruins, a defense stops nothing
    assert findings(table).plants(findings(table).undefended) is None


def test_what_the_partner_names_by_itself_counts_by_the_careful_end():
    wide = Range(0.8, 0.78, 0.9)
    between, above, below = defended("between", read=0.9), defended("above", read=0.97), defended("below", read=0.78)
    found = made_up(between, above, below, alone=wide)
    assert [found.reads(each) for each in (between, above, below)] == [None, True, False]
    by_area = defended(read=0.79, read_auc=near(0.68))
    assert made_up(plain=by_area, alone_auc=Range(0.55, 0.5, 0.65)).reads(by_area) is None
    assert made_up(plain=by_area, alone_auc=Range(0.55, 0.5, 0.6)).reads(by_area) is True


def test_a_reader_of_a_table_that_is_nearly_all_of_one_class_reads():
    """Of 96 % that are of one class, 4 % are left to name: 5 % more than all of them can never be named."""
    plain = defended(read=0.999)
    rare = {"majority": 0.96, "majority_read": 0.96, "alone": near(0.9, 0.0)}
    found = made_up(plain=plain, **rare)
    assert found.reads(plain) is True
    assert sentences(found)[0].startswith("A malicious “shop” could read 99.9% of your labels")
    assert found.reads(defended(read=0.95)) is False


def test_a_leak_at_one_seed_is_not_stopped():
    noise = defended("noise 1×", read=0.79, planted=0.02, lift=0.01)
    found = made_up(noise, alone_top=0.75)
    assert found.reads(noise) is False
    assert found.reads(dataclasses.replace(noise, top_read=0.9)) is None
    by_area = dataclasses.replace(noise, read_auc=near(0.54), most_read_auc=0.55)
    found = made_up(by_area, alone_top=0.75, alone_auc=near(0.6, 0.01), alone_auc_top=0.65)
    assert found.reads(by_area) is False
    assert found.reads(dataclasses.replace(by_area, top_read_auc=0.8)) is None


def test_a_defense_spares_a_model_in_every_seed_and_by_the_careful_end():
    noise = defended("noise 1×", accuracy=0.88)
    found = made_up(noise)
    assert found.spares(noise) is True
    assert found.spares(dataclasses.replace(noise, num_diverged=1)) is False
    assert found.spares(dataclasses.replace(noise, cost=Range(0.09, 0.05, 0.2))) is None
    assert found.spares(dataclasses.replace(noise, cost=Range(0.2, 0.11, 0.3))) is False
    stops = dataclasses.replace(noise, read=near(0.79), most_read=0.8, lift=near(0.01), most_lift=0.02)
    open_ = dataclasses.replace(stops, cost=Range(0.09, 0.05, 0.2))
    assert "do not settle whether “noise 1×” does" in sentences(made_up(open_))[2]
    assert cost(Range(0.01, -0.002, 0.12)) == (
        "at a cost of accuracy that the seeds do not settle (-0.2 to 12.0 percentage points)"
    )


def test_an_attack_that_costs_a_little_counts_and_so_does_a_reader_upside_down():
    table = results()
    table["accuracy_attacked"] = table["accuracy_attacked"] * 0 + table["main_accuracy"] - 0.03
    plain = findings(table).undefended
    assert findings(table).plants(plain) is True
    assert "; the attack takes 3.0 percentage points of accuracy" in sentences(findings(table))[1]
    table["read_auc"] = table["read"] * 0 + np.array([0.4, 0.2, 0.6])[:, None]
    assert findings(table).undefended.read_auc.value == pytest.approx(0.8)


def test_the_short_table_tells_what_is_not_settled_from_what_is_not_stopped():
    open_read = {"read": Range(0.82, 0.79, 0.9), "most_read": 0.9}
    open_plant = {"lift": Range(0.1, 0.02, 0.2), "most_lift": 0.2}
    leaks, stops = defended("leaks"), defended("stops", read=0.79, planted=0.02, lift=0.01)
    said = {}
    cases = {
        "leaks": leaks,
        "stops": stops,
        "open": dataclasses.replace(leaks, **open_read, **open_plant),
        "half": dataclasses.replace(stops, **open_plant),
        "other half": dataclasses.replace(leaks, **open_plant),
        "untried": dataclasses.replace(stops, planted=None, lift=None),
        "high": dataclasses.replace(stops, floor=0.7),
    }
    for name, case in cases.items():
        said[name] = short_rows(made_up(case))[1]["stops"]
    assert said == {
        "leaks": "neither",
        "stops": "reading and backdoors",
        "open": "not settled",
        "half": "reading; backdoors: not settled",
        "other half": "not reading; backdoors: not settled",
        "untried": "reading; backdoors: not tried",
        "high": "reading; backdoors: floor too high",
    }
    assert short_rows(made_up(stops, num_rarest=5, num_attacked=5))[1]["stops"] == "not enough rows"
    assert short_rows(made_up(stops, num_attacked=5))[1]["stops"] == "reading; backdoors: not enough rows"


def test_what_seeds_do_not_settle_is_no_defense_and_is_said():
    between = dataclasses.replace(defended("between"), read=Range(0.82, 0.79, 0.9), most_read=0.9)
    said = sentences(made_up(between))[2]
    assert said.endswith("leaves the model useful (10 seeds do not settle whether “between” does).")
    plain = dataclasses.replace(defended(planted=0.01, lift=0.0), read=Range(0.82, 0.79, 0.9), most_read=0.9)
    reading, _, stopping = sentences(made_up(plain=plain))
    assert reading.startswith("10 seeds do not settle whether “shop” could read your labels: ")
    assert stopping == NEITHER


def test_no_leak():
    reading, planting, stopping = sentences(made_up(plain=defended(read=0.79, planted=0.02, lift=0.01)))
    assert reading.startswith("Nothing that was tried lets “shop” read your labels: the best reader tried names 79%")
    assert planting.startswith("No backdoor that was tried worked: 2% of the rows")
    assert "no proof" in stopping


def test_few_rows_say_nothing():
    few = made_up(num_rarest=29, num_attacked=1)
    reading, planting, stopping = sentences(few)
    assert says(reading, "Not enough to say", "2000 training rows, 29 of them of the rarest class")
    assert says(planting, "Not enough to say", "1 test row can measure it")
    assert stopping == NEITHER
    assert "Not enough" not in "".join(sentences(made_up(num_rarest=30, num_attacked=30)))


def test_a_high_floor_says_nothing_of_backdoors():
    said = sentences(made_up(plain=defended(planted=0.98, lift=0.3, floor=0.68)))[1]
    assert says(said, "Not enough to say", "honest models call 68% of the rows with its mark “fraud”")


def test_backdoors_that_were_not_tried_are_not_judged():
    quiet = defended("quiet", read=0.79, planted=None, lift=None)
    _, planting, stopping = sentences(made_up(quiet, plain=defended(planted=None, lift=None)))
    assert planting == "Whether “shop” could plant a backdoor was not tried."
    assert stopping.startswith("Of the 1 defense tried, the defense quiet would stop the reading, at ")


def test_labels_that_are_ranked_but_not_named():
    plain = defended(read=0.79, read_auc=near(0.93), auc=near(0.8))
    reading, _, _ = sentences(made_up(plain=plain, alone_auc=near(0.6, 0.01)))
    assert says(reading, "rank your rows by label", "0.93", "names only 79% rightly", "0.60")


def test_a_model_that_knows_nothing_has_no_defense_to_judge():
    assert "no better than naming the most frequent class" in sentences(made_up(plain=defended(accuracy=0.78)))[2]


def test_a_defense_stops_only_where_no_reader_and_no_attack_may_be_above_the_margin():
    """The best by its mean may be below, and another's interval reach above it."""
    wide = defended("wide", read=0.79, planted=0.02, lift=0.01, most_read=0.9, most_lift=0.3)
    found = made_up(wide)
    assert (found.reads(wide), found.plants(wide)) == (None, None)
    narrow = defended("narrow", read=0.79, planted=0.02, lift=0.01)
    assert (found.reads(narrow), found.plants(narrow)) == (False, False)
    by_area = defended("by area", read=0.79, read_auc=near(0.57, 0.03))
    assert found.reads(by_area) is None  # from 0.54 to 0.60, where 0.55 is the margin's end
    assert found.reads(dataclasses.replace(by_area, read_auc=near(0.54), most_read_auc=0.55)) is False
    assert found.reads(dataclasses.replace(by_area, read_auc=near(0.57, 0.005))) is True


def results(**changes):
    """Results of two defenses, three readers, two attacks and ten seeds."""
    seeds = np.linspace(-0.01, 0.01, 10)
    read = np.array([[0.9, 0.95, 0.6], [0.7, 0.65, 0.6]])[:, :, None] + seeds
    success = np.array([[0.2, 0.8], [0.1, 0.3]])[:, :, None] + seeds
    of_replicas = {
        "main_accuracy": (("defense", "seed"), np.array([0.85, 0.84])[:, None] + seeds),
        "alone": ("seed", 0.6 + seeds),
        "read": (("defense", "reader", "seed"), read),
        "attack_success": (("defense", "attack", "seed"), success),
        "attack_success_honest": (("defense", "attack", "seed"), np.full(success.shape, 0.05)),
        "accuracy_attacked": (("defense", "attack", "seed"), np.full(success.shape, 0.84)),
    }
    facts = {
        "partner": "shop",
        "wanted": "<b>fraud</b>",
        "majority": 0.5,
        "majority_read": 0.5,
        "num_test": 500,
        "num_read": 2000,
        "num_rarest": 900,
        "num_attacked": 250,
        "data": "tables",
        "fingerprint": "f00d",
        "parties": ["bank", "shop"],
        "active_party": "bank",
        "rows": [4000, 500],
        "rows_used": [2000, 500],
        "classes": {"<b>fraud</b>": 900, "honest": 1100},
        "share": 0.4,
        "num_known": 10,
        "num_targets": 90,
        "head": "trainable",
        "epochs": 20,
        "batch": 64,
        "learning_rate": 0.3,
        "sizes": battery.Sizes(0.002, 0.01, 3.0)._asdict(),
        "trigger": "none",
        "not_tried": ["for lack of time, the defenses signs"],
        "minutes": 10.0,
        "seconds": 300.0,
        "versions": {"vfl_jax": "0"},
        "baselines": [{"model": "most frequent class", "accuracy": 0.5, "auc": 0.5}],
        "command": "vfl-jax audit --table bank=a.csv",
    } | changes
    return xr.Dataset(
        of_replicas,
        {
            "defense": ["none", "noise 1×"],
            "words": ("defense", ["no defense", "noise of 0.002"]),
            "reader": ["direction", "cluster", "completion"],
            "attack": ["BASL", "replay"],
            "seed": range(10),
        },
        vfl.Audit.attributes(facts),
    )


def test_findings_are_the_numbers_of_numpy():
    table = results()
    table["read"][1, 2] = np.linspace(0.2, 0.9, 10)  # no reader's median is lower, no interval reaches higher
    found = findings(table)
    plain, noise = found.defended
    read, success = table["read"].values, table["attack_success"].values
    assert (plain.reader, noise.reader) == ("cluster", "direction")
    assert plain.read.value == pytest.approx(np.median(read[0, 1]))
    assert noise.read.value == pytest.approx(np.median(read[1, 0]))
    ends = [vfl.statistics.interval(values)[1] for values in read[1]]
    assert noise.most_read == pytest.approx(max(ends)) == pytest.approx(ends[2])
    assert (plain.attack, noise.attack) == ("replay", "replay")
    assert plain.planted.value == pytest.approx(success[0, 1].mean())
    assert plain.lift.value == pytest.approx(success[0, 1].mean() - 0.05)
    assert plain.floor == pytest.approx(0.05)
    assert plain.lift.low < plain.lift.value < plain.lift.high == plain.most_lift
    assert found.alone[:1] == pytest.approx((np.median(table["alone"].values),))
    assert found.alone[1:] == pytest.approx(vfl.statistics.interval(table["alone"].values))
    assert found.floor_read == found.alone
    assert noise.cost.value == pytest.approx(0.01)
    assert [row["stops"] for row in short_rows(found)] == ["–", "neither"]
    table["attack_success"][1] = 0.06
    assert short_rows(findings(table))[1]["stops"] == "backdoors"


def test_the_tables_of_a_page_hold_these_numbers():
    table = results()
    page = vfl.Audit(table).to_html()
    text = " ".join(re.sub(r"<[^>]+>", " ", page[page.index("<main>") :]).split())
    cells = re.findall(r"\d\.\d{3}", text)
    for name, centre in (("read", np.median), ("attack_success", np.mean), ("attack_success_honest", np.mean)):
        for value in centre(table[name].values, axis=-1).ravel():
            assert f"{value:.3f}" in cells
    low, high = vfl.statistics.interval(table["main_accuracy"].values[1])
    assert f"0.840 [{low:.3f}, {high:.3f}]" in text


def test_the_page_begins_with_the_answer_and_tells_what_limits_it(tmp_path):
    audit = vfl.Audit(results())
    page = audit.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert len(page) < 500_000
    body = page[page.index("<main>") :]
    text = re.sub(r"<[^>]+>", " ", body)
    assert says(text, "tuned to a defense's level", "own features give depends", "at most 0.02", "of attacks means")
    assert "knows every defense" not in text
    assert text.index("could read 95% of your labels") < text.index("The picture") < text.index("The table")
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", body)
    assert headings == [
        *("The picture", "The table", "How sure this is", "What was assumed", "What was not tried", "Terms"),
        "How to repeat it",
    ]
    assert says(text, "drawn from 4,000 and 500", "the defenses signs", "vfl-jax audit --table bank=a.csv", "f00d")
    assert "<b>fraud</b>" not in body
    assert "&lt;b&gt;fraud" in body


def test_an_audit_is_saved_whole(tmp_path):
    audit = vfl.Audit(results())
    audit.save(tmp_path / "audit.nc")
    again = vfl.Audit.load(tmp_path / "audit.nc")
    assert str(again) == str(audit)
    assert json.dumps(again.facts) == json.dumps(audit.facts)


def test_an_audit_is_shown_and_reported_like_other_results(tmp_path, capsys):
    audit = vfl.Audit(results())
    audit.save(tmp_path / "audit.nc")
    main(["show", str(tmp_path / "audit.nc")])
    shown = " ".join(capsys.readouterr().out.split())
    assert says(shown, audit.sentences[0], "The defenses", "noise 1×")
    main(["report", str(tmp_path / "audit.nc"), "--html", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert says(page, "could read 95% of your labels", "vfl-jax audit --table bank=a.csv", "f00d")


def test_a_file_of_other_results_is_no_audit(tmp_path):
    vfl.save(results().drop_vars("read").drop_attrs(), tmp_path / "other.nc")
    with pytest.raises(ValueError, match="no audit") as error:
        vfl.Audit.load(tmp_path / "other.nc")
    assert says(str(error.value), "other.nc has no facts, partner", "num_attacked, read,", "--results")


def test_the_command_asks_for_as_many_rows_as_the_audit_was_given(capsys):
    data = vfl.load_digits()
    running = Running(data, subsample(data, 3000, 1500), 1, "trainable", 10, 4, 3000, Clock(10), progress=True)
    assert running.used.train.num_samples < 3000
    assert "rows=3000)" in running._command()
    running._announce()
    said = " ".join(capsys.readouterr().err.split())
    assert says(said, "aims at 10 min, and what has begun ends first")


def test_names_of_levels_can_be_listed():
    assert not [level.name for level in battery.levels(battery.Sizes(1.0, 1.0, 1.0)) if "," in level.name]


def test_levels_differ_in_numbers_that_are_multiples_of_messages():
    levels, twice = (battery.levels(battery.Sizes(*sizes)) for sizes in ((0.002, 0.01, 3.0), (0.004, 0.02, 6.0)))
    assert len({level.name for level in levels}) == len(levels)
    ((_, points),) = battery.over(levels).items()
    assert len(set(points)) == len(levels)
    off = numbers(battery.CHAIN)
    assert points[0] == tuple(off[path.removeprefix("defense.")] for path in next(iter(battery.over(levels))))
    assert len(levels) % ROUND == 0  # so that all rounds have the shapes of the first
    assert set(battery.over(levels[:3])) == set(battery.over(levels[3:6]))
    for level, other in zip(levels, twice, strict=True):
        for place, value in level.numbers.items():
            grows = place in (("noise", "stddev"), ("unit", "length"), ("bounded", "bound"), ("clipping", "bound"))
            assert other.numbers[place] == pytest.approx(2 * value if grows else value)


def test_attacks_of_a_chain_are_off_but_for_their_own_parts():
    plants = partner.plants(20, has_stamp=True)
    ((paths, points),) = plants.over(1).items()
    assert len(points) == len(plants.points) + 1
    switches = [i for i, path in enumerate(paths) if path.endswith("enabled")]
    on = {name: sum(point[i] for i in switches) for name, point in zip([*plants.points, "honest"], points, strict=True)}
    assert on == {**dict.fromkeys(plants.points, 1.0), "BASL ordinary": 2.0, "honest": 0.0}


def test_time_drops_defenses_before_attacks_and_the_first_program_last():
    programs = [Planned(READING, 10_000), Planned(PLANTING, 70_000)]
    once, every = READING.compiling + PLANTING.compiling, 10_000 * READING.step + 70_000 * PLANTING.step
    plans = {}
    for rounds in (6, 4, 3):
        minutes = (5 + once + (rounds + 0.5) * every) / 60 / 0.9
        plans[rounds] = Clock(minutes, lambda: 0.0).plan(5.0, programs, 6)
        assert plans[rounds] == (2, rounds, pytest.approx(5 + once + rounds * every))
    minutes = (5 + once + every + 0.5 * PLANTING.seconds(70_000) - 1) / 60 / 0.9  # a second of the reserve lacks
    assert Clock(minutes, lambda: 0.0).plan(5.0, programs, 6)[:2] == (1, 6)
    minutes = (5 + 1.5 * READING.seconds(10_000) + 0.5) / 60 / 0.9
    assert Clock(minutes, lambda: 0.0).plan(5.0, programs, 6)[:2] == (1, 6)
    assert Clock(minutes - 1 / 60, lambda: 0.0).plan(5.0, programs, 6)[:2] == (1, 1)  # the reserve is not there
    assert Clock(0.01, lambda: 0.0).plan(5.0, programs, 6)[:2] == (1, 1)


def test_the_clock_learns_from_what_programs_took():
    now = [0.0]
    clock = Clock(10, lambda: now[0])
    reading, planting = Planned(READING, 1000), Planned(PLANTING, 500)
    guess = READING.compiling + 1000 * READING.step
    assert clock.estimate([reading]) == pytest.approx(guess)
    clock.note(*reading, 3 * guess)
    assert clock.estimate([reading]) == pytest.approx(3 * guess)
    assert clock.estimate([planting]) == pytest.approx(3 * (PLANTING.compiling + 500 * PLANTING.step))
    clock.note(*reading, 7.0)  # once compiled, it takes less
    assert clock.estimate([reading, planting]) == pytest.approx(7 + 3 * (PLANTING.compiling + 500 * PLANTING.step))
    now[0] = 120.0
    assert clock.left == pytest.approx(0.9 * 600 - 120)


def test_a_program_begins_where_there_is_time_for_half_as_much_again():
    now = [0.0]
    clock, planting = Clock(10, lambda: now[0]), Planned(PLANTING, 500)
    once = PLANTING.seconds(500)
    now[0] = 540 - 1.49 * once
    assert not clock.has_time_for([planting])
    now[0] = 540 - 1.51 * once
    assert clock.has_time_for([planting])
    clock.note(*planting, once)
    now[0] = 540 - 1.01 * once  # it has run here, so its time is known
    assert clock.has_time_for([planting])


class Machine:
    """Stands for an audit's sweeps: every run takes its seconds of a clock that nobody waits for."""

    def __init__(self, seconds):
        self.now, self.seconds, self.runs = 0.0, seconds, []

    def run(self, running, group, levels, measured):
        self.now += self.seconds
        self.runs.append((group.work.name, [level.name for level in levels]))
        running.clock.note(*running._planned(group), self.seconds)


@pytest.mark.parametrize(
    ("seconds", "kinds", "rounds"), [(10, 4, 6), (50, 4, 2), (120, 4, 1), (200, 2, 1), (900, 1, 1)]
)
def test_rounds_end_in_time_with_every_attack_behind_every_defense(monkeypatch, seconds, kinds, rounds):
    """Ten minutes of a machine whose programs take so many seconds each."""
    machine = Machine(seconds)
    data = vfl.load_digits()
    clock = Clock(10, lambda: machine.now)
    running = Running(data, data, 1, "trainable", 10, 4, 3000, clock, progress=False)
    setting = Setting(vfl.board_for(data, epochs=4), battery.Sizes(0.1, 0.1, 1.0), has_stamp=True)
    monkeypatch.setattr(running, "_run", lambda *parts: machine.run(running, *parts))
    measured = Measured(list(running.readers))
    running._rounds(setting, battery.levels(setting.sizes), measured)
    assert len(machine.runs) == kinds * rounds
    assert len(measured.levels) == 3 * rounds
    assert machine.now <= 600 or kinds == 1  # the first program always runs


@pytest.mark.parametrize(
    ("minutes", "seconds", "said"),
    [(10, 70, "8 min left for more"), (0.2, 70, "no time is left for more"), (1.2, 70, "no time is left for more")],
)
def test_progress_says_what_time_is_left(capsys, minutes, seconds, said):
    now = iter([0.0] + [seconds] * 9)
    data = vfl.load_digits()
    running = Running(data, data, 1, "trainable", 10, 4, 3000, Clock(minutes, lambda: next(now)), progress=True)
    for work in (READING, PLANTING):
        running._timed(work, 10, lambda: None)
    running._announce()
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [f"audit: {work.name} took 1 s; {said}" for work in (READING, PLANTING)]
    assert all(len(line) <= 79 for line in lines)


def test_what_no_time_is_left_for_is_named(monkeypatch, capsys):
    machine = Machine(900)
    data = vfl.load_digits()
    running = Running(data, data, 1, "trainable", 10, 4, 3000, Clock(10, lambda: machine.now), progress=True)
    setting = Setting(vfl.board_for(data, epochs=4), battery.Sizes(0.1, 0.1, 1.0), has_stamp=True)
    monkeypatch.setattr(running, "_run", lambda *parts: machine.run(running, *parts))
    running._rounds(setting, battery.levels(setting.sizes), Measured(list(running.readers)))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("audit: no time is left; left out: backdoors by other messages,")
    assert all(len(line) <= 79 for line in lines)


def test_fewer_rows_are_drawn_alike_in_all_classes():
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [800, 195, 5])
    features = draw.normal(size=(1000, 4)).astype("float32")
    data = vfl.from_arrays({"a": features[:, :2], "b": features[:, 2:]}, labels, active_party="a", test=0.1)
    few = subsample(data, 90, 10_000)
    assert np.bincount(few.train.labels).tolist() in ([72, 17, 1], [71, 18, 1], [72, 18, 0], [71, 17, 2], [72, 16, 2])
    assert few.test.num_samples == data.test.num_samples
    where = [np.flatnonzero((data.train.features[0] == row).all(1)) for row in few.train.features[0]]
    assert sorted(len(places) for places in where) == [1] * 90
    assert len(set(np.concatenate(where).tolist())) == 90


def test_the_partner_is_the_party_with_the_most_features():
    features = np.zeros((40, 9), np.float32)
    data = vfl.from_arrays(
        {"a": features[:, :1], "b": features[:, 1:6], "c": features[:, 6:]}, np.arange(40) % 2, active_party="a"
    )
    assert data.parties[largest_party(data)] == "b"


def test_message_sizes():
    draw = np.random.default_rng(0)
    gradients = draw.normal(size=(3, 7, 4)).astype("float32")
    measure = MessageSizes()
    state = measure.init(jax.random.key(0), None, 0)
    for gradient in gradients:
        _, state = measure.on_upload(None, state, None, jnp.asarray(2 * gradient))
        sent, state = measure.on_download(None, state, None, jnp.asarray(gradient))
        np.testing.assert_array_equal(sent, gradient)
    found = measure.report(state)
    lengths = np.linalg.norm(gradients, axis=-1)
    assert float(found["gradient_entry"]) == pytest.approx(np.sqrt((gradients**2).mean()), rel=1e-5)
    assert float(found["gradient_norm"]) == pytest.approx(np.median(lengths, axis=1).mean(), rel=1e-5)
    assert float(found["embedding_norm"]) == pytest.approx(2 * np.median(lengths[-1]), rel=1e-5)


def test_baselines_know_what_each_party_knows():
    draw = np.random.default_rng(0)
    labels = (draw.random(400) < 0.3).astype(int)
    noise = draw.normal(size=(400, 2)).astype("float32")
    data = vfl.from_arrays(
        {"bank": noise, "shop": (labels[:, None] + 0.0).astype("float32")}, labels, active_party="bank", test=0.25
    )
    majority, alone, joined = baselines(data)
    assert majority["accuracy"] == pytest.approx(1 - np.mean(data.test.labels))
    assert majority["auc"] == 0.5
    assert alone["auc"] < 0.7
    assert joined == {"model": joined["model"], "accuracy": 1.0, "auc": 1.0}


def test_what_a_party_names_by_itself():
    draw = np.random.default_rng(0)
    labels = (draw.random(400) < 0.3).astype(int)
    noise = draw.normal(size=(400, 2)).astype("float32")
    parties = {"bank": noise, "shop": (labels[:, None] + 0.0).astype("float32")}
    data = vfl.from_arrays(parties, labels, active_party="bank", test=0.25)
    shares, areas = alone(data, 1, num_known=5, seeds=4)
    assert shares.tolist() == areas.tolist() == [1.0] * 4
    shares, areas = alone(data, 0, num_known=5, seeds=4)
    assert len(set(shares.tolist())) > 1  # each seed knows other rows
    assert 0.3 < areas.mean() < 0.7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seeds": 9}, ("seeds is 9", "at least 10")),
        ({"minutes": 0}, ("minutes is 0", "above 0")),
        ({"minutes": -1}, ("minutes is -1", "above 0")),
        ({"head": "attention"}, ("head", "attention")),
        ({"attacker": "bank"}, ("attacker is 'bank'", "holds the labels")),
        ({"attacker": "mall"}, ("attacker is 'mall'", "bank", "shop")),
    ],
)
def test_arguments_are_checked_before_anything_runs(arguments, words):
    features = np.zeros((400, 4), np.float32)
    data = vfl.from_arrays({"bank": features[:, :2], "shop": features[:, 2:]}, np.arange(400) % 2, active_party="bank")
    with pytest.raises(ValueError, match=words[0]) as error:
        vfl.audit(data, progress=False, **arguments)
    assert says(str(error.value), *words)


def test_data_of_which_nothing_can_be_said_are_refused():
    features = {"bank": np.zeros((80, 2), np.float32), "shop": np.zeros((80, 3), np.float32)}
    few = vfl.from_arrays(features, np.arange(80) % 2, active_party="bank", test=0.25)
    with pytest.raises(ValueError, match=says("60 training rows", "at least 100", "30 of every class")):
        vfl.audit(few, progress=False)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, ("--table", "--data NAME")),
        ({"data": "digits", "own": OwnTables(table=("a=a.csv",))}, ("--data is digits", "give one")),
        ({"data": "digitz"}, ("--data", "digits")),
    ],
)
def test_the_flags_of_an_audit_name_one_source(flags, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        auditing.source_of(Audit(**flags))
    assert says(str(error.value), *words)


@pytest.mark.long
def test_an_audit_of_two_tables_ends_in_time_with_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    income, bought = draw.normal(size=(2, 260))
    late = (income + bought + 0.3 * draw.normal(size=260) > 0.3).astype(int)
    order = draw.permutation(260)
    lines = {
        "a.csv": ["id,income,late", *(f"{i},{income[i]:.4f},{late[i]}" for i in range(260))],
        "b.csv": ["id,bought,visits", *(f"{i},{bought[i]:.4f},{i % 7}" for i in order)],
    }
    for name, text in lines.items():
        (tmp_path / name).write_text("\n".join(text) + "\n")
    (tmp_path / "audit.toml").write_text('id = "id"\nlabel = "bank.late"\n[table]\nbank = "a.csv"\nshop = "b.csv"\n')
    main(["audit", "audit.toml", "--minutes", "0.5", "--epochs", "4", "--results", "audit.nc"])
    said = capsys.readouterr()
    assert says(said.err, "'shop' is malicious", "to run: label inference", "10 seeds")
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    audit = vfl.Audit.load(tmp_path / "audit.nc")
    assert " ".join(str(audit).split()) in " ".join(said.out.split())  # wrapped at the width of the terminal
    assert audit.results.sizes["seed"] == 10
    assert audit.facts["seconds"] < 120
    assert "vfl-jax audit --minutes 0.5 --epochs 4 audit.toml" in page
    assert audit.findings.undefended.read.value > 0.8  # gradients under a trainable head tell labels
