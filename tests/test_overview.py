"""The overview of a sweep: every level of every setting, attacked beside honest, for one scenario and for cases."""

import json
import types

import numpy as np
import pytest
import xarray as xr
from data_helpers import tiny_scenario
from matplotlib.colors import to_hex
from result_helpers import results_of

from vfl_jax import plots
from vfl_jax.attacks import GradientReplacement, LabelReplacement
from vfl_jax.defenses import GaussianNoise
from vfl_jax.plots import figures
from vfl_jax.plots.panels import COLORS
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform

SCENARIO = tiny_scenario(defense=GaussianNoise())
TWO_ATTACKS = tiny_scenario(
    attacks=(PartyTransform(), PartyChain(parts=(GradientReplacement(), LabelReplacement()))), defense=GaussianNoise()
)
SWITCH = {"attack.enabled": [0, 1]}
NOISE = {"defense.stddev": [0, 0.01, 0.1]}
AMPLIFY = {"attack.amplify": [1, 10]}
PATHS = "attacks.1.parts.0.enabled", "attacks.1.parts.1.enabled"
SEEDS = 3


def results(over, scenario=SCENARIO, shift=0.0):
    """A backdoor that noise takes away, and a floor of 0.1; every grid point has numbers of its own."""

    def values(settings):
        noise, amplify = settings.get("defense.stddev", 0), settings.get("attack.amplify", 10)
        on = sum(v * 2.0**-i for i, (k, v) in enumerate(sorted(settings.items())) if k.endswith("enabled"))
        backdoor = 0.1 + 0.5 * on * (1 - 5 * noise) * amplify / 10
        of_seeds = np.arange(SEEDS) / 100
        return {"main_task_accuracy": 0.9 - noise - of_seeds - shift, "backdoor_accuracy": backdoor + of_seeds}

    return results_of(types.SimpleNamespace(scenario=scenario, over=over, task="mnist"), values, seeds=SEEDS)


def of_cases(over, names=("plain", "other")):
    parts = {name: results(over, shift=0.1 * i) for i, name in enumerate(names)}
    joined = xr.concat(list(parts.values()), xr.Variable("case", list(parts)), combine_attrs="drop_conflicts")
    scenarios = {name: json.loads(part.attrs["scenario"]) for name, part in parts.items()}
    return joined.assign_attrs(scenario=json.dumps(scenarios))


def last(found, **place):
    return found.isel(epoch=-1).isel({k.replace("_", "."): v for k, v in place.items()}, drop=True)


def dashed(panel):
    return [line for line in panel.lines if line.get_linestyle() == "--"]


def thick(panel):
    """The medians of attacked runs."""
    return [line for line in panel.lines if line.get_linewidth() == 2 and line.get_linestyle() == "-"]


def ticks(panel):
    return [label.get_text() for label in panel.get_xticklabels()]


def rows_of(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def map_of(panel):
    (image,) = panel.images
    return np.asarray(image.get_array())


def test_a_switch_and_one_more_axis_are_attacked_lines_over_the_honest_floor():
    found = results(SWITCH | NOISE)
    figure = plots.overview(found)
    assert len(figure.axes) == 2
    for panel, name in zip(figure.axes, figures.SHOWN, strict=True):
        assert ticks(panel) == ["0", "0.01", "0.1"]
        assert panel.get_xlabel() == "defense.stddev"
        (line,), (floor,) = thick(panel), dashed(panel)
        values = last(found[name])
        np.testing.assert_allclose(line.get_ydata(), values.sel({"attack.enabled": 1}).median("seed"))
        np.testing.assert_allclose(floor.get_ydata(), values.sel({"attack.enabled": 0}).median("seed"))
        dots = panel.collections[0].get_offsets()[:, 1]
        assert sorted(dots) == sorted(values.sel({"attack.enabled": 1}).values.ravel())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_switch_and_two_more_axes_are_maps(order):
    axes = [SWITCH, NOISE, AMPLIFY]
    found = results({name: values for i in order for name, values in axes[i].items()})
    figure = plots.overview(found)
    (attacked_main, attacked_backdoor), (_, honest_backdoor) = np.reshape(figure.axes, (2, 2))
    down, right = [name for name in found.main_task_accuracy.dims if name not in ("attack.enabled", "seed", "epoch")]
    assert rows_of(attacked_main) == [f"{value:g}" for value in found[down].values]
    assert ticks(attacked_main) == [f"{value:g}" for value in found[right].values]
    assert (attacked_main.get_ylabel(), attacked_main.get_xlabel()) == (down, right)
    for panel, name, enabled in (
        (attacked_main, "main_task_accuracy", 1),
        (attacked_backdoor, "backdoor_accuracy", 1),
        (honest_backdoor, "backdoor_accuracy", 0),
    ):
        expected = last(found[name]).sel({"attack.enabled": enabled}).median("seed").transpose(down, right)
        np.testing.assert_allclose(map_of(panel), expected)
        assert sorted(text.get_text() for text in panel.texts) == sorted(f"{v:.2f}" for v in expected.values.ravel())
    assert attacked_backdoor.get_title() == "backdoor accuracy, attacked"
    assert honest_backdoor.get_title() == "backdoor accuracy, honest"


def test_more_axes_are_all_there():
    found = results(SWITCH | NOISE | AMPLIFY | {"learning_rate": [0.1, 0.2]})
    panel = plots.overview(found).axes[0]
    assert rows_of(panel) == [f"{noise}, {amplify}" for noise in ("0", "0.01", "0.1") for amplify in ("1", "10")]
    assert ticks(panel) == ["0.1", "0.2"]
    assert panel.get_ylabel() == "defense.stddev\nattack.amplify"
    expected = last(found.main_task_accuracy).sel({"attack.enabled": 1}).median("seed")
    np.testing.assert_allclose(map_of(panel), expected.values.reshape(6, 2))


def test_without_honest_runs_there_is_no_floor():
    one = plots.overview(results(NOISE))
    assert [len(dashed(panel)) for panel in one.axes] == [0, 0]
    assert ticks(one.axes[0]) == ["0", "0.01", "0.1"]
    two = plots.overview(results(NOISE | AMPLIFY))
    assert [panel.get_title() for panel in two.axes] == ["main-task accuracy", "backdoor accuracy"]


def test_without_settings_there_are_curves():
    (panel, _) = plots.overview(results(SWITCH)).axes
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["attacked", "honest"]
    (panel, _) = plots.overview(results({}).isel(seed=0)).axes  # as of ``run``
    assert len(panel.lines) == 1 + 1


@pytest.mark.parametrize("over", [{}, SWITCH, SWITCH | NOISE, SWITCH | NOISE | AMPLIFY])
@pytest.mark.parametrize("drop", [True, pytest.param(False, marks=pytest.mark.long)])
def test_one_epoch_or_seed_is_drawn_as_what_it_was_chosen_from(over, drop):
    found = results(over)
    for chosen, whole in (
        (found.isel(epoch=-1, drop=drop), found.isel(epoch=[-1])),
        (found.isel(seed=0, drop=drop), found.isel(seed=[0])),
        (found.isel(seed=0, epoch=-1, drop=drop), found.isel(seed=[0], epoch=[-1])),
    ):
        panels, expected = plots.overview(chosen).axes, plots.overview(whole).axes
        for panel, of_whole in zip(panels, expected, strict=True):
            for line, of_line in zip(panel.lines, of_whole.lines, strict=True):
                np.testing.assert_array_equal(line.get_ydata(), of_line.get_ydata())
            for image, of_image in zip(panel.images, of_whole.images, strict=True):
                np.testing.assert_array_equal(image.get_array(), of_image.get_array())
    (panel, _) = plots.overview(results({})).axes
    assert len(panel.lines) == SEEDS + 1
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["run"]


def test_every_attack_has_a_line_and_the_floor_stands_once():
    zipped = {PATHS: [(0, 0), (1, 0), (0, 1), (1, 1)]}
    crossed = {path: [0, 1] for path in PATHS}
    labels = {"attacks.1.parts.0", "attacks.1.parts.1", "attacks.1.parts.0, attacks.1.parts.1"}
    for switches in (zipped, crossed):
        figure = plots.overview(results(switches | NOISE, TWO_ATTACKS))
        shown = {text.get_text() for text in figure.legends[0].get_texts()}
        assert shown == labels | {figures.HONEST}
        panel = figure.axes[1]
        assert len(thick(panel)) == 3
        (floor,) = dashed(panel)
        np.testing.assert_allclose(floor.get_ydata(), 0.11)  # 0.10, 0.11 and 0.12
        maps = plots.overview(results(switches | NOISE | AMPLIFY, TWO_ATTACKS))
        titles = {" ".join(panel.get_title().split("\n")) for panel in maps.axes[1::2]}
        assert titles == {f"backdoor accuracy, {label}" for label in (*labels, "honest")}


def test_honest_runs_of_a_zipped_axis_stand_below_their_own():
    over = {("attack.enabled", "defense.stddev"): [(0, 0), (1, 0), (1, 0.1), (0, 0.1)]}
    found = results(over)
    panel = plots.overview(found).axes[0]
    assert ticks(panel) == ["1\n0", "1\n0.1"]
    values = last(found.main_task_accuracy).median("seed").values
    np.testing.assert_allclose(thick(panel)[0].get_ydata(), values[[1, 2]])
    np.testing.assert_allclose(dashed(panel)[0].get_ydata(), values[[0, 3]])


def test_cases_stand_beside_each_other():
    found = of_cases(SWITCH)
    panel = plots.overview(found).axes[0]
    assert (ticks(panel), panel.get_xlabel()) == (["plain", "other"], "case")
    values = last(found.main_task_accuracy).median("seed")
    np.testing.assert_allclose(thick(panel)[0].get_ydata(), values.sel({"attack.enabled": 1}))
    np.testing.assert_allclose(dashed(panel)[0].get_ydata(), values.sel({"attack.enabled": 0}))
    assert ticks(plots.overview(of_cases({})).axes[0]) == ["plain", "other"]
    assert ticks(plots.overview(of_cases(SWITCH, ["only"])).axes[0]) == ["only"]


def test_cases_with_a_setting_are_lines_with_their_own_floors():
    found = of_cases(SWITCH | NOISE)
    figure = plots.overview(found)
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(shown) == ["other", "other, honest", "plain", "plain, honest"]
    for lines, enabled in ((thick(figure.axes[0]), 1), (dashed(figure.axes[0]), 0)):
        for line, name, color in zip(lines, ("plain", "other"), COLORS, strict=False):
            expected = last(found.main_task_accuracy).sel({"case": name, "attack.enabled": enabled}).median("seed")
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert to_hex(line.get_color()).upper() == color


@pytest.mark.parametrize(("over", "number"), [(SWITCH | NOISE | AMPLIFY, 2), (SWITCH | NOISE, 6)])
def test_many_cases_are_rows_of_maps(over, number):
    names = [f"case {i}" for i in range(number)]
    panel = plots.overview(of_cases(over, names)).axes[0]
    below = ["", ", 0.01", ", 0.1"] if len(over) == 3 else [""]
    assert len(rows_of(panel)) == number * len(below)
    assert all(row.startswith(names[i // len(below)]) for i, row in enumerate(rows_of(panel)))
    assert panel.get_ylabel().startswith("case")


def test_other_variables_and_undefined_ones_are_drawn():
    found = results(SWITCH | NOISE | AMPLIFY)
    found["backdoor_accuracy"] = found.backdoor_accuracy * np.nan
    figure = plots.overview(found, ("attack_success_rate", "backdoor_accuracy"))
    assert {text.get_text() for text in figure.axes[1].texts} == {"–"}
    assert figure.axes[0].get_title().startswith("attack success rate")
    line = plots.overview(results(SWITCH | NOISE).assign(backdoor_accuracy=results(SWITCH | NOISE).loss * np.nan))
    assert len(line.axes) == 2


def test_wide_sweeps_keep_every_level_and_can_be_read():
    over = SWITCH | {"defense.stddev": np.linspace(0, 0.1, 41)}
    panel = plots.overview(results(over)).axes[0]
    assert len(ticks(panel)) == 41
    assert {label.get_rotation() for label in panel.get_xticklabels()} == {45}
    narrow = plots.overview(results(SWITCH | NOISE)).axes[0]
    assert {label.get_rotation() for label in narrow.get_xticklabels()} == {0}
    wide = plots.overview(results(AMPLIFY | over))
    assert not wide.axes[0].texts  # numbers would run into each other
    assert max(wide.get_size_inches()) < 20
