"""The study of Zhao et al. 2026: every verdict can come out each way, cases fit their boards, the page is whole."""

import jax
import matplotlib
import numpy as np
import pytest
import xarray as xr
from experiment_helpers import quick_compilation
from result_helpers import table_rows

from experiments.shared.cases import run_cases
from experiments.zhao2026 import boards, cases, report
from experiments.zhao2026.boards import DataSet
from experiments.zhao2026.claims import CLAIMS
from experiments.zhao2026.reading import read
from experiments.zhao2026.verdicts import (
    CONTRADICTED,
    HOLDS,
    UNDECIDED,
    UNJUDGED,
    Judgement,
    Success,
    Utility,
    colluders_help,
    embedding_beats_input,
    item,
    jumps_between_epochs,
    jumps_between_seeds,
    majority_is_easier,
    mean_difference,
    none_recovers,
    separable,
    separation,
    targets_hurt,
    verdict_of,
    without_each,
)
from vfl_jax.core.files import save
from vfl_jax.data import load_digits
from vfl_jax.sweeps.grid import parse

SEEDS = 10
NOISE = np.linspace(-0.01, 0.01, SEEDS)
WIDE = np.linspace(-0.4, 0.4, SEEDS)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Pictures of few pixels are drawn faster."""
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 20)


def success(own, floor=0.0, noise=NOISE):
    return Success(own + noise, floor + 0 * noise)


def test_an_item_says_yes_no_or_nothing_by_its_interval():
    values = [0.5 + NOISE, 0.1 + NOISE, 0.3 + WIDE]
    assert [item("", one, 0.3).says for one in values] == ["yes", "no", "–"]
    assert item("", np.zeros(SEEDS)).says == "–"  # no difference at all is no yes
    assert item("", np.full(SEEDS, np.nan)) is None
    assert item("", [np.nan, 0.5, 0.5], 0.3).value == 0.5


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        (["yes", "yes", "no"], HOLDS),
        (["yes", "no", "no"], CONTRADICTED),
        (["yes", "no"], UNDECIDED),
        (["yes", "–", "–"], UNDECIDED),
        ([], UNJUDGED),
    ],
)
def test_more_than_half_of_the_items_decide(answers, verdict):
    assert verdict_of(answers) == verdict


def test_claim_1_asks_beyond_the_floor():
    half, most = {"a": success(0.6)}, {"a": success(0.8)}
    assert majority_is_easier(half, most).verdict == HOLDS
    assert majority_is_easier(most, half).verdict == CONTRADICTED
    assert majority_is_easier(half, {"a": success(0.6, noise=-NOISE)}).verdict == UNDECIDED
    # 0.8 over a floor of 0.7 is a third of what the floor leaves, and less than 0.6 over nothing.
    assert majority_is_easier(half, {"a": success(0.8, 0.7)}).verdict == CONTRADICTED
    full = {"a": success(0.99, noise=0 * NOISE)}
    assert majority_is_easier(full, full) == (UNJUDGED, (), 1)  # at the ceiling
    beside = majority_is_easier(half | {"b": full["a"]}, most | {"b": full["a"]})
    assert (beside.verdict, len(beside.items), beside.at_ceiling) == (HOLDS, 1, 1)
    weak = {"a": success(0.1)}
    assert majority_is_easier(weak, {"a": success(0.3)}).verdict == UNJUDGED  # effective with neither


def test_claim_2_asks_for_the_mean_step_and_the_mean_difference_of_seeds():
    still = np.tile(0.8 + NOISE[:, None], (1, 6))
    swinging = still - 0.3 * (np.arange(6) % 2)
    assert jumps_between_epochs({"a": swinging}).verdict == HOLDS
    assert jumps_between_epochs({"a": swinging}).items[0].value == pytest.approx(0.3)
    assert jumps_between_epochs({"a": still}).verdict == CONTRADICTED
    assert jumps_between_epochs({"a": still, "b": swinging}).verdict == UNDECIDED
    assert jumps_between_epochs({"a": still[:, :1]}).verdict == UNJUDGED
    two_peaks = np.array([0.0, 1.0] * 5)
    assert jumps_between_seeds({"a": two_peaks}).verdict == HOLDS
    assert jumps_between_seeds({"a": 0.8 + NOISE}).verdict == CONTRADICTED
    assert jumps_between_seeds({"a": np.full(SEEDS, 0.9)}).items[0].high == 0
    assert jumps_between_seeds({}).verdict == UNJUDGED
    distances = [abs(a - b) for i, a in enumerate([0.1, 0.4, 0.9]) for j, b in enumerate([0.1, 0.4, 0.9]) if i != j]
    assert mean_difference(np.array([0.1, 0.4, 0.9])) == pytest.approx(np.mean(distances))


def test_claim_3_is_of_every_number_of_parties():
    strong, weak = {"a": success(0.8), "b": success(0.6)}, {"c": success(0.2), "d": success(0.3)}
    assert embedding_beats_input({2: strong, 4: strong}, {2: weak, 4: weak}).verdict == HOLDS
    assert embedding_beats_input({2: strong, 4: weak}, {2: weak, 4: strong}).verdict == CONTRADICTED
    assert embedding_beats_input({2: strong, 4: weak}, {2: weak, 4: weak}).verdict == UNDECIDED
    assert embedding_beats_input({2: strong}, {2: {}}).verdict == UNJUDGED
    (one,) = embedding_beats_input({2: strong}, {2: {"c": success(0.65, 0.3)}}).items
    assert one.value == pytest.approx(0.7 - 0.35 / 0.7)  # of what the floor leaves
    assert one.low > 0
    assert one.says == "–"  # "c" is alone of its kind, and so would carry the answer


def test_claim_3_rests_on_no_single_attack_and_on_no_floor_that_says_it_all():
    weak = {"c": success(0.2), "d": success(0.3)}
    carried = embedding_beats_input({2: {"a": success(0.9), "b": success(0.1)}}, {2: weak})
    assert (carried.verdict, carried.items[0].says) == (UNDECIDED, "–")
    assert carried.items[0].low > 0  # with all attacks it would be a yes
    held_back = embedding_beats_input({2: weak}, {2: {"a": success(0.9), "b": success(0.1)}})
    assert (held_back.verdict, held_back.items[0].says) == (UNDECIDED, "–")
    assert embedding_beats_input({2: weak}, {2: {"a": success(1.0, 0.9)}}).verdict == UNJUDGED
    without = without_each({"a": success(0.9), "b": success(0.1)}, {"c": success(0.2)})
    assert {name: float(np.median(values)) for name, values in without.items()} == pytest.approx({"a": -0.1, "b": 0.7})


def test_claim_4_asks_twice():
    alone, more, less = ({"a": success(own)} for own in (0.6, 0.8, 0.3))
    assert colluders_help(alone, more).verdict == HOLDS
    assert colluders_help(alone, less).verdict == CONTRADICTED
    assert colluders_help(alone, {"a": success(0.6, noise=-NOISE)}).verdict == UNDECIDED
    assert colluders_help({"a": success(0.99)}, {"a": success(1.0)}) == (UNJUDGED, (), 1)  # at the ceiling
    assert colluders_help({"a": success(0.0)}, {"a": success(0.1)}).verdict == UNJUDGED  # off the floor in neither
    assert targets_hurt(alone, less).verdict == HOLDS
    assert targets_hurt(alone, more).verdict == CONTRADICTED
    assert targets_hurt({"a": success(0.6, 0.5)}, less).verdict == UNJUDGED  # alone it does nothing


def test_claim_5_takes_either_direction():
    assert separation(np.array([0.02, 0.5, 0.9])) == pytest.approx([0.98, 0.5, 0.9])
    low, high, middle = (np.clip(area + NOISE, 0, 1) for area in (0.01, 0.99, 0.7))
    assert separable({"a": low, "b": high, "c": middle}).verdict == HOLDS
    assert separable({"a": low, "b": middle, "c": middle}).verdict == CONTRADICTED
    assert separable({}).verdict == UNJUDGED


def utility(attacked, clean=0.95):
    return Utility(attacked + NOISE, clean + 0 * NOISE)


def test_claim_6_is_contradicted_by_one_defense_that_recovers_and_keeps_accuracy():
    honest, undefended = utility(0.9), {"a": utility(0.1), "b": utility(0.3)}

    def judged(**defended):
        return none_recovers(honest, undefended, {name: {"a": one, "b": one} for name, one in defended.items()})

    failing, recovering = utility(0.4), utility(0.89)
    assert judged(first=failing, second=failing).verdict == HOLDS
    assert judged(first=failing, second=recovering).verdict == CONTRADICTED
    assert judged(first=utility(0.89, clean=0.8)).verdict == HOLDS  # it pays with accuracy
    assert judged(first=failing, second=Utility(0.82 + WIDE, recovering.clean)).verdict == UNDECIDED
    assert none_recovers(honest, {}, {"first": {"a": failing}}).verdict == UNJUDGED
    (one,) = judged(first=failing).items
    assert one.value == pytest.approx((0.4 - 0.2) / (0.9 - 0.2), abs=0.01)


@pytest.fixture
def digits(monkeypatch):
    """The page's one data set is small, and every case is made for five epochs."""
    for name in list(boards.DATA_SETS):
        monkeypatch.delitem(boards.DATA_SETS, name)
    monkeypatch.setitem(boards.DATA_SETS, "digits", DataSet("digits", load_digits, (2, 3), 3, 5, 10))
    cases.make_cases.cache_clear()
    yield {case.name: case for case in cases.make_cases()}
    cases.make_cases.cache_clear()


def switched_on(case, point, attack):
    """The parties and parts that a grid point switches on, and what each is."""
    parts = case.scenario.attacks[-1].parts if hasattr(case.scenario.attacks[-1], "parts") else ()
    on = {path.split(".parts.")[0] for path, value in point.items() if path.endswith("enabled") and value == 1}
    kinds = {type(parts[int(path.split(".")[3])]).__name__ for path, value in point.items() if is_on(path, value)}
    return on, kinds


def is_on(path, value):
    return ".parts." in path and path.endswith("enabled") and value == 1


def test_a_point_switches_on_what_its_name_says(digits):
    kinds = {"BASL": "BASL", "BASL-5": "BASL", "Villain-oracle": "Villain", "GradientReplacement": "PartyChain"}
    for case in digits.values():
        grid = parse(case.scenario, case.over)
        assert grid.shape[0] == len(case.attacks), case.name
        assert grid.shape[1:] == (() if len(case.defenses) == 1 else (len(case.defenses),)), case.name
        for point, place in zip(grid.points(), np.ndindex(*grid.shape), strict=True):
            title, _, word = case.attacks[place[0]].partition(", ")
            on, found = switched_on(case, point, title)
            if title == "honest":
                assert not on, case.name
                continue
            last = case.parties - 1
            who = {"": {last}, "alone": {last}, "other alone": {last - 1}, "both": {last - 1, last}}[word]
            assert on == {f"attacks.{k}" for k in who}, (case.name, title, word)
            assert found == {kinds.get(title, title)}, (case.name, title)


def test_a_point_of_a_shared_program_lets_one_defense_act(digits):
    case = digits["digits_3_in_training"]
    changed = [
        {path: v for path, v in p.items() if path.startswith("defense") and v}
        for p in parse(case.scenario, case.over).points()
    ]
    assert changed[:3] == [
        {"defense.parts.0.length": 1},
        {"defense.parts.1.rate": 0.5},
        {"defense.parts.2.stddev": 0.01},
    ]


def test_colluders_want_the_two_rarest_classes(digits):
    counts = np.bincount(load_digits().train.labels)
    case = digits["digits_3_two_targets"]
    assert counts[list(case.scenario.poison.party_targets[1:])].tolist() == sorted(counts)[:2][::-1]
    majority = digits["digits_3_majority"].scenario.poison.target_class
    assert counts[majority] == counts.max()
    assert case.scenario.poison.target_class == case.scenario.poison.party_targets[-1]


def by_hand(case, numbers, seeds=4):
    """Results of a case, at the last epoch or at 20; ``numbers`` gives a metric from the names of a point."""
    grid = parse(case.scenario, case.over)
    epochs = 20 if case.evaluate_every == 1 else 1
    dims, shape = tuple(axis.dimension for axis in grid.axes), grid.shape
    variables = {}
    for metric in (
        "full_attack_success",
        "full_clean_accuracy",
        "full_recovered_utility",
        "full_stealth_linf",
        "full_stealth_l2",
        "full_stealth_class_mean",
    ):
        values = np.zeros((*shape, seeds, epochs))
        for place in np.ndindex(*shape):
            defense = case.defenses[place[1]] if len(place) > 1 else case.defenses[0]
            values[place] = numbers(case, case.attacks[place[0]], defense).get(metric, 0.5)
        variables[metric] = ((*dims, "seed", "epoch"), values)
    by_party = np.stack([variables["full_attack_success"][1] / 2] * case.parties, axis=-1)
    variables["full_attack_success_by_party"] = ((*dims, "seed", "epoch", "party"), by_party)
    return xr.Dataset(variables, {"seed": np.arange(seeds), "epoch": np.arange(epochs) + 1})


def numbers_of(case, attack, defense):
    """One attack works against everything but GBD, which gives all back; nothing else works."""
    works = attack.startswith("BASL-5")
    accuracy = {"full_clean_accuracy": 0.95, "full_attack_success": 0.0, "full_recovered_utility": 0.95}
    if works and defense != "GBD":
        accuracy |= {"full_attack_success": 0.9, "full_recovered_utility": 0.05}
    return accuracy | {"full_stealth_linf": 1.0 if works else 0.5}


def test_the_page_says_what_results_say(digits, tmp_path):
    for case in digits.values():
        save(by_hand(case, numbers_of), tmp_path / f"{case.name}.nc")
    report.write_report(tmp_path)
    page = (tmp_path / "tables.md").read_text()
    verdicts = {row["claim"].partition(".")[0]: row["digits"] for row in table_rows(page, "claim", "digits")}
    assert verdicts == {
        "1": "undecided (1 open)",
        "2a": "contradicted (1 no)",
        "2b": "contradicted (1 no)",
        "3": "undecided (2 open)",  # one attack alone carries it
        "4a": UNJUDGED,  # no colluder is the attack that works
        "4b": "undecided (1 open)",
        "5": "holds (1 yes)",  # one attack, whose parties are two and three
        "6": "contradicted (6 yes, 1 no)",
    }
    _, _, holding, contradicted, *_ = page.splitlines()
    assert contradicted.startswith("* **This is contradicted:** ")
    assert [f"({name})" in holding for name in ("3", "5", "2a")] == [False, True, False]
    assert [f"({name}" in contradicted for name in ("2a", "2b", "6", "3")] == [True, True, True, False]
    drawn = {"verdicts.png"} | {f"claim_{name}.png" for name, verdict in verdicts.items() if verdict != UNJUDGED}
    assert {path.name for path in tmp_path.glob("*.png")} == drawn
    (gbd,) = (row for row in table_rows(page, "data", "item", "share that comes back") if row["item"] == "GBD")
    assert gbd["share that comes back"] == "1.000 [1.000, 1.000]"
    assert gbd["says"] == "no"


def test_a_page_of_few_results_says_what_is_missing(digits, tmp_path):
    case = digits["digits_3_gbd"]
    save(by_hand(case, numbers_of), tmp_path / f"{case.name}.nc")
    report.write_report(tmp_path)
    page = (tmp_path / "tables.md").read_text()
    assert {row["digits"] for row in table_rows(page, "claim", "digits")} == {report.NOT_RUN}
    assert "**Not trained yet:**" in page
    assert "digits, K = 3, message" in page


def judged(verdicts):
    """What was looked up, where every claim has these verdicts, one per data set."""
    return {one.name: {f"set {at}": (Judgement(said, ()), []) for at, said in enumerate(verdicts)} for one in CLAIMS}


def test_the_page_begins_with_the_claims_by_what_became_of_them():
    found = judged([HOLDS, UNJUDGED])
    found["2a"] = judged([CONTRADICTED, CONTRADICTED])["2a"]
    found["6"] = judged([HOLDS, CONTRADICTED])["6"]
    said = report.answer(found)
    assert said.startswith("**Parts of the six claims that hold: 6 of 8; contradicted: 2; open, or not the same on all")
    assert "\n\n* **On every data set where it can be judged, this holds:** attacks succeed best on the ma" in said
    of_epochs = "success jumps between epochs (2a; by the mean step; single steps may be large)"
    assert f"\n* **This is contradicted:** {of_epochs}; no defense recovers utility (6; the attacks do not know" in said
    assert "hurt each other (4b; this follows by arithmetic where each wins more than half of the rows alone)" in said
    assert all(said.count(f"({one.name}") == 1 for one in CLAIMS)
    few, many = (Judgement(HOLDS, (item("", NOISE),) * count) for count in (2, 3))
    found["5"] = {"set 0": (few, []), "set 1": (many, [])}
    assert report.answer(found).endswith("A verdict on one or two items is weak: 1 of 2 are.\n")
    found["6"]["set 0"] = (Judgement(report.NOT_RUN, ()), [])
    assert "\n* **So far" in report.answer(found)
    assert report.answer(found).endswith("1 of 16 verdicts is not run yet.\n")


def test_a_claim_has_one_verdict_of_all_data_sets():
    assert report.overall([HOLDS, HOLDS]) == HOLDS
    assert report.overall([CONTRADICTED]) == CONTRADICTED
    assert report.overall([HOLDS, CONTRADICTED, UNDECIDED]) == report.DEPENDS
    assert report.overall([HOLDS, UNDECIDED]) == UNDECIDED
    assert report.overall([HOLDS, CONTRADICTED, UNDECIDED], is_of_all=True) == CONTRADICTED
    assert report.overall([HOLDS, UNDECIDED], is_of_all=True) == UNDECIDED
    assert report.overall([]) == UNJUDGED


@pytest.mark.long
def test_a_small_study_finds_the_loud_attack(digits, tmp_path):
    chosen = [digits[f"digits_3_{role}"] for role in ("message", "two_targets", "in_training")]
    with quick_compilation(), jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
        run_cases(chosen, tmp_path, seeds=2)
    found = read(tmp_path, list(digits.values()))
    plain = found["digits_3_message"]
    loud, honest = plain.success("BASL-5"), plain.utility()
    assert loud.gain.min() > 0.4
    assert plain.last("full_stealth_linf") == pytest.approx(0.5)  # of honest runs nothing changes
    assert plain.last("full_stealth_linf", "BASL-5").min() > 0.95
    assert plain.utility("BASL-5").attacked.max() < 0.3 < 0.7 < honest.attacked.min()
    assert plain.values("full_attack_success", "BASL").shape == (2, 5)
    two = found["digits_3_two_targets"]
    alone, other, both = (two.by_attacker("BASL-5", word).own for word in ("alone", "other alone", "both"))
    assert min(alone.min(), other.min()) > 0.5
    assert both.max() <= 0.5  # one of them at most wins a row
    # Both scales of BASL send one direction, and normalisation leaves nothing else.
    quiet, same = (found["digits_3_in_training"].success(name, "EmbeddingNormalisation") for name in ("BASL", "BASL-5"))
    assert quiet.own == pytest.approx(same.own, abs=0.01)
    assert (same.own < found["digits_3_in_training"].success("BASL-5", "GaussianNoise").own - 0.2).all()
    report.write_report(tmp_path)
    assert "**holds**" in (tmp_path / "tables.md").read_text()
