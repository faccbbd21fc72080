"""What a defense blocks, mitigates and spares, on both sides of every threshold, and how attacks are judged there."""

import numpy as np
import pytest
from result_helpers import PLAIN, SUCCESS, results_of, save_results

from experiments.data.clean_accuracy import report as clean_accuracy
from experiments.liu2020.combination import report as combination
from experiments.liu2020.combination.cases import CASES as COMBINED
from experiments.liu2020.gamma.cases import CASES as GAMMA
from experiments.liu2020.noise.cases import CASES as NOISE
from experiments.liu2020.sparsification import report as sparsification
from experiments.liu2020.verdict.defenses import _clipping_weaker, _noise_alleviates, _noise_hurts
from experiments.liu2020.verdict.judge import success_share
from experiments.shared.defended import (
    WITH_BACKDOOR,
    backdoors,
    blocking_level,
    blocking_row,
    blocks,
    defended_row,
    has_nothing_to_stop,
    mitigates,
    spares,
)
from experiments.shared.figures import NOT_JUDGED, OUTCOMES, outcome_colors
from experiments.shared.outcomes import at, line, points, read, row
from vfl_jax.core.files import save

SEEDS = 20
(GAUSSIAN,) = [case for case in NOISE if case.name == "liu2020_code_gaussian"]
COLUMN = "not judged"


def by_level(honest, attacked):
    """Results of the sweep of noise: functions of the level give what differs from plain runs."""
    return results_of(GAUSSIAN, lambda s: (attacked if s["attack.enabled"] else honest)(s["defense.stddev"]), SEEDS)


def first(count, of=0.9, rest=0.1):
    """So many seeds have one value, the rest another."""
    return np.where(np.arange(SEEDS) < count, of, rest)


def pair(left, attack, floor=0.0):
    """An undefended point with 10 backdoors and an attack success of 0.8, and a defended one."""
    undefended = {"backdoor_accuracy": first(10), "attack_success_rate": 0.8}
    defended = {"backdoor_accuracy": first(left), "attack_success_rate": attack}
    found = line(
        by_level(lambda level: {"attack_success_rate": floor}, lambda level: defended if level else undefended),
        "defense.stddev",
    )
    return found[0.1], found[0.0]


@pytest.mark.parametrize(
    ("left", "attack", "expected"), [(5, 0.4, True), (6, 0.4, False), (5, 0.41, False), (0, 0, True)]
)
def test_half_of_the_seeds_and_half_of_the_attack_success_are_mitigated(left, attack, expected):
    assert mitigates(*pair(left, attack)) == expected


@pytest.mark.parametrize(
    ("left", "attack", "floor", "expected"),
    [(2, 0.04, 0.0, True), (3, 0.04, 0.0, False), (2, 0.06, 0.0, False), (2, 0.06, 0.02, True), (0, 0.9, 0.0, False)],
)
def test_a_block_leaves_a_tenth_of_the_seeds_and_the_floor_of_the_honest_runs(left, attack, floor, expected):
    assert blocks(pair(left, attack, floor)[0]) == expected


@pytest.mark.parametrize(("loss", "expected"), [(0.01, True), (0.011, False), (-0.2, True)])
def test_a_hundredth_of_main_accuracy_is_spared(loss, expected):
    lost = {"main_task_accuracy": PLAIN["main_task_accuracy"] - loss}
    found = line(by_level(lambda level: lost if level else {}, lambda level: {}), "defense.stddev")
    assert spares(found[0.1], found[0.0]) == expected


def test_a_backdoor_is_one_that_the_honest_run_has_not():
    found = at(
        by_level(lambda _: {"backdoor_accuracy": first(4, 0.4, 0.3)}, lambda _: {"backdoor_accuracy": 0.6}), stddev=0
    )
    assert backdoors(found).values.tolist() == [False] * 4 + [True] * 16
    assert backdoors(pair(20, 1.0)[0]).all()


def half_ruined(ruined, left, attack=0.0):
    """The undefended point has 20 backdoors. Under the defense the last seeds are ruined before they are attacked and
    have no backdoor; of the others so many have one, and all an attack success."""
    is_ruined = np.arange(SEEDS) >= SEEDS - ruined
    main = {"main_task_accuracy": np.where(is_ruined, 0.7, 0.95)}
    success = {"attack_success_rate": np.where(is_ruined, 0.0, attack), "backdoor_accuracy": first(left)}
    found = line(
        by_level(lambda level: main if level else {}, lambda level: main | success if level else SUCCESS),
        "defense.stddev",
    )
    return found[0.1], found[0.0]


@pytest.mark.parametrize(
    ("ruined", "left", "blocked", "mitigated", "shown"),
    [
        (0, 2, True, True, "2/20"),
        (1, 2, False, True, "2/19"),
        (9, 1, True, True, "1/11"),
        (10, 1, True, True, "1/10"),
        (11, 0, False, False, "0/9"),
        (8, 6, False, True, "6/12"),
        (8, 7, False, False, "7/12"),
        (20, 0, False, False, "–"),
    ],
)
def test_a_seed_that_the_defense_ruined_counts_neither_for_nor_against_it(ruined, left, blocked, mitigated, shown):
    point, undefended = half_ruined(ruined, left)
    assert (blocks(point), mitigates(point, undefended)) == (blocked, mitigated)
    cells = defended_row(point, undefended, {})
    assert cells[WITH_BACKDOOR].split()[0] == shown
    assert cells["successes"].split()[0] == shown
    assert cells["collapsed"] == ("–" if ruined == 20 else f"0/{20 - ruined}")
    assert cells[COLUMN] == (f"{ruined}/20 nothing to attack" if ruined else "–")


@pytest.mark.parametrize(
    ("attack", "blocked", "mitigated"), [(0.04, True, True), (0.4, False, True), (0.5, False, False)]
)
def test_the_median_attack_success_is_of_the_seeds_that_are_judged(attack, blocked, mitigated):
    """Of all 20 it would be 0 or half as much: ten are ruined."""
    point, undefended = half_ruined(10, 0, attack)
    assert (blocks(point), mitigates(point, undefended)) == (blocked, mitigated)


def test_there_is_nothing_to_stop_without_a_backdoor_whatever_the_attack_has_moved():
    moved = {"attack_success_rate": 0.4}
    for left, expected in ((0, True), (2, True), (3, False)):
        point = at(by_level(lambda _: {}, lambda _, n=left: moved | {"backdoor_accuracy": first(n)}), stddev=0)
        assert has_nothing_to_stop(point) == expected
        assert not blocks(point)
        levels = {0.0: point, 0.1: at(by_level(lambda _: {}, lambda _: {}), stddev=0.1)}
        assert blocking_row(levels, {})["blocks from"] == ("nothing to block" if expected else "0.1")
    assert has_nothing_to_stop(half_ruined(11, 9)[0])


def test_the_published_list_says_how_many_rows_measure_where_results_do_not(tmp_path):
    """83 of its 100 rows are no zeros; rows that every seed draws anew are not known."""
    for name, shown in (("liu2020_code_mnist", "83"), ("liu2020_paper_mnist", "–")):
        (case,) = [case for case in GAMMA if case.name == name]
        dataset = results_of(case, lambda s: SUCCESS if s["attack.enabled"] else {})
        save(dataset.drop_vars([v for v in dataset.data_vars if v.endswith("_count")]), tmp_path / f"{name}.nc")
        found = read(tmp_path, GAMMA)[name]
        assert {row(point)["rows measured"] for point in points(found)} == {shown}


def ruined_above(level):
    """Honest runs lose 0.2 above a level of noise, and every attacked run has the backdoor at no further cost."""

    def numbers(stddev):
        return {"main_task_accuracy": 0.75} if stddev > level else {}

    return by_level(numbers, lambda stddev: SUCCESS | numbers(stddev))


def test_ruined_honest_runs_are_not_attacked_with_success():
    found = line(ruined_above(0.05), "defense.stddev")
    cells = row(found[0.1])
    assert (cells["successes"], cells["collapsed"], cells[COLUMN]) == ("–", "–", "20/20 nothing to attack")
    cells = row(found[0.05])
    assert (cells["successes"], cells["collapsed"], cells[COLUMN]) == ("20/20 [0.84, 1.00]", "0/20", "–")
    assert cells["rows measured"] == "39,898"
    assert success_share(found[0.1]) is None
    assert success_share(found[0.05]) == 1
    assert set(outcome_colors(found[0.1].counted.outcome.isel(epoch=-1))) == set(NOT_JUDGED.values())
    assert set(outcome_colors(found[0.05].counted.outcome.isel(epoch=-1))) == {OUTCOMES["success"]}


def test_a_setting_that_ruins_honest_runs_neither_blocks_nor_mitigates():
    """From 0.05 on no seed has a backdoor; above, honest runs have lost 0.2."""

    def honest(level):
        return {"main_task_accuracy": 0.75} if level > 0.05 else {}

    found = line(by_level(honest, lambda level: honest(level) | (SUCCESS if level < 0.05 else {})), "defense.stddev")
    assert [blocks(found[level]) for level in (0.025, 0.05, 0.075, 0.1)] == [False, True, False, False]
    assert mitigates(found[0.05], found[0])
    assert not mitigates(found[0.1], found[0])
    assert blocking_level(found) == 0.05
    assert blocking_level({level: found[level] for level in (0, 0.075, 0.1)}) is None


def test_a_page_of_combinations_says_where_nothing_is_left():
    (case,) = [case for case in COMBINED if case.name == "liu2020_code_sum"]

    def values(settings):
        hurt = {"main_task_accuracy": 0.75} if settings["defense.drop_rate"] > 0.9 else {}
        return hurt | (SUCCESS if settings["attack.enabled"] and settings["defense.stddev"] < 0.05 else {})

    combined = combination.combinations(results_of(case, values, seeds=4))
    assert set(combination.blocking(combined)) == {(0.0, 0.05), (0.9, 0.05)}
    said = combination._found("a case", combined)
    assert said.startswith(
        "**a case**: of 8 settings, 2 block, 2 of them spare. Under 3 there is nothing to attack on "
    )
    words = {settings: row["blocks"] for settings, row in zip(combined, combination._rows("", combined), strict=True)}
    assert (words[0.99, 0.05], words[0.9, 0.05], words[0.9, 0.01]) == ("nothing to attack", "yes", "no")
    drawn = {settings: combination._cell(point) for settings, point in combined.items()}
    assert drawn[0.9, 0.05] == (0.0, "0/4\nattack success 0.00")
    assert drawn[0.9, 0.01] == (1.0, "4/4\nattack success 0.90")
    share, said = drawn[0.99, 0.05]
    assert np.isnan(share)
    assert said == "nothing to\nattack"


@pytest.mark.parametrize(("ruined", "expected"), [(9, 1.0), (10, 1.0), (11, None)])
def test_half_of_the_seeds_are_enough_to_judge(ruined, expected):
    main = {"main_task_accuracy": first(ruined, 0.0, 0.9)}
    point = at(by_level(lambda _: main, lambda _: SUCCESS | main), stddev=0)
    assert success_share(point) == expected


def test_noise_that_leaves_nothing_to_attack_alleviates_nothing():
    """At 0.075 and 0.1, the levels above the paper's, honest runs are ruined; at one of them or both."""
    assert _noise_alleviates(ruined_above(0.05)).held is None
    assert _noise_alleviates(ruined_above(0.075)).held == 0
    assert "no seed can be judged" in _noise_alleviates(ruined_above(0.05)).evidence


@pytest.mark.parametrize(("hurt", "expected"), [(20, 1), (11, 0), (0, 0)])
def test_noise_hurts_where_the_whole_interval_is_beyond(hurt, expected):
    """So many seeds lose 0.05, the others gain as much; the interval of the median of 11 and 9 has both."""
    changes = {"main_task_accuracy": PLAIN["main_task_accuracy"] + first(hurt, -0.05, 0.05)}
    found = by_level(lambda level: changes if level == 0.05 else {}, lambda _: {})
    assert _noise_hurts(found).held == expected


@pytest.mark.parametrize(("more", "expected"), [(20, 1), (11, 0), (0, 0)])
def test_clipping_is_weaker_where_the_whole_interval_says_so(more, expected):
    """On so many seeds the bound costs 0.05 more than noise does, on the others 0.05 less."""

    def swept(cost, stops):
        return by_level(
            lambda level: {"main_task_accuracy": 0.95 - (cost if level else 0)},
            lambda level: {"main_task_accuracy": 0.95 - (cost if level else 0)} | ({} if stops(level) else SUCCESS),
        )

    noisy = swept(0.05, lambda level: level == 0.1)
    clipped = swept(first(more, 0.1, 0.0), lambda level: level == 0.1).rename({"defense.stddev": "defense.bound"})
    clipped = clipped.assign_coords({"defense.bound": [np.inf, *clipped["defense.bound"].values[1:]]})
    assert _clipping_weaker(clipped, noisy).held == expected


def test_undefended_runs_of_another_case_are_the_reference(tmp_path):
    """By sample there is no rate of 0; what its rates cost is held against the published residual's."""

    def values(settings):
        hurt = {"main_task_accuracy": 0.8} if settings["defense.drop_rate"] > 0.9 else {}
        return hurt | (SUCCESS if settings["attack.enabled"] else {})

    for residual in ("position", "sample"):
        save_results(tmp_path, sparsification.CASES, f"liu2020_code_mnist_sum_{residual}", values, seeds=4)
    for sweep in sparsification.read_sweeps(tmp_path):
        shown = {rate: row(point)["successes"][:3] for rate, point in sweep.rates.items()}
        assert shown == {0: "4/4", 0.5: "4/4", 0.9: "4/4"} | dict.fromkeys((0.95, 0.99, 0.995, 0.999), "–")
    save_results(tmp_path / "alone", sparsification.CASES, "liu2020_code_mnist_sum_sample", values, seeds=4)
    (alone,) = sparsification.read_sweeps(tmp_path / "alone")
    assert row(alone.rates[0.999])["successes"].startswith("4/4")


def test_results_that_do_not_say_the_majority_get_it_by_the_name_of_their_data(tmp_path):
    """MNIST's is 0.1135: with two standard errors of 9,900 rows an honest run needs 0.1199."""
    for main, said in ((0.119, "0/4"), (0.121, "4/4")):
        numbers = {"main_task_accuracy": main}
        save_results(
            tmp_path, GAMMA, "liu2020_code_mnist", lambda s, n=numbers: n | (SUCCESS if s["attack.enabled"] else {})
        )
        dataset = read(tmp_path, GAMMA)["liu2020_code_mnist"]
        assert {row(point)["successes"][:3] for point in points(dataset)} == {said if said != "0/4" else "–"}


def test_the_page_of_data_sets_judges_by_their_own_majority(tmp_path):
    """0.94 of the test rows are of one class, and so is the honest accuracy."""
    dataset = results_of(GAMMA[0], lambda s: {"main_clean": 0.94} | (SUCCESS if s["attack.enabled"] else {}), 4)
    dataset = dataset.isel({"attack.enabled+attack.amplify": [0, 1]}).drop_vars(["attack.enabled", "attack.amplify"])
    dataset = dataset.rename({"attack.enabled+attack.amplify": "attack.enabled"}).assign_coords(
        {"attack.enabled": [0, 1]}
    )
    save(dataset.assign_attrs(rows="{}"), tmp_path / "mnist_sum.nc")
    assert clean_accuracy.backdoor(tmp_path, "mnist", "sum", majority=0.94)["success"] == "–"
    assert clean_accuracy.backdoor(tmp_path, "mnist", "sum", majority=0.11)["success"] == "4/4"
    save(dataset.assign_attrs(rows='{"test_majority": 0.94}'), tmp_path / "mnist_sum.nc")
    told = clean_accuracy.backdoor(tmp_path, "mnist", "sum", majority=0.11)
    assert (told["success"], told[COLUMN], told["not finite"]) == ("–", "4/4 nothing to attack", "0/4")
