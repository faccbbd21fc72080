"""A user's package adds every kind of part, and is used from Python like the package's own; bad ones are named."""

import functools
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import chex
import helpers
import jax
import numpy as np
import pytest
from data_helpers import says
from flax.traverse_util import flatten_dict
from plugin_helpers import OVER, PLUGIN, add_entry_point, install

import vfl_jax as vfl
from vfl_jax.cli.advice import said
from vfl_jax.cli.choices import scenario_of, source
from vfl_jax.cli.scenarios import RunPreset, subcommands
from vfl_jax.data import LOADERS
from vfl_jax.models import Optimizer
from vfl_jax.presets import PRESETS
from vfl_jax.presets.registered import DATA_OF
from vfl_jax.replica import batch, init, predict, prepare, step


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The package, found by its entry point; what it registered is gone afterwards."""
    folder = tmp_path_factory.mktemp("site-packages")
    install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        assert PLUGIN in vfl.load_plugins()
        yield sys.modules[PLUGIN]
    LOADERS.pop("lab_readings")
    for name in ("lab_study", "lab_normed"):
        PRESETS.pop(name)
        DATA_OF.pop(name)


@pytest.fixture(scope="module", autouse=True)
def promotion():
    """optax's Adam mixes dtypes in its bias correction, which the suite's strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def scenario(lab):
    return PRESETS["lab_study"]()


@pytest.fixture(scope="module")
def data(lab):
    return LOADERS["lab_readings"]()


@pytest.fixture(scope="module")
def results(scenario, data):
    return vfl.sweep(scenario, data, OVER, seeds=2, epochs=3, progress=False)


@pytest.mark.long
def test_a_sweep_shows_what_the_parts_do(results):
    """The attack ruins its own party's model, and the defense changes the honest runs: nothing is passed over."""
    assert dict(results.sizes) | {"attack.enabled": 2, "defense.unit": 2, "seed": 2, "epoch": 3} == dict(results.sizes)
    last = results.isel(epoch=-1)
    honest, attacked = (last.sel({"attack.enabled": on}) for on in (0, 1))
    assert float(honest["loss"].mean()) < float(attacked["loss"].mean())
    assert (honest["loss"].sel({"defense.unit": 0.0}) != honest["loss"].sel({"defense.unit": 0.02})).all()
    assert results["is_finite"].all()


@pytest.mark.long
def test_reports_show_the_results(results):
    table = vfl.summary(results)
    assert list(table.index) == [(0, 0.0), (0, 0.02), (1, 0.0), (1, 0.02)]
    assert (table["seeds"] == 2).all()
    assert [row["defense.unit"] for row in vfl.reports.rows(results)] == ["0", "0.02"] * 2
    assert vfl.plots.overview(results).axes


@pytest.mark.long
def test_a_scenario_with_own_parts_survives_json(scenario, results):
    for text in (scenario.to_json(), results.attrs["scenario"]):
        back = vfl.from_json(text)
        assert back == scenario
        assert back.to_json() == scenario.to_json()
        assert type(back.optimizers[0]).__module__ == type(back.head).__module__ == f"{PLUGIN}.models"


@pytest.mark.long
def test_a_model_that_holds_running_means_and_a_metric(lab, data):
    """The metric in NumPy, at the chance of two classes before anything is learnt, and below it afterwards."""
    normed = PRESETS["lab_normed"]()
    assert vfl.from_json(normed.to_json()) == normed
    found, state = vfl.run(normed, data, jax.random.key(0), epochs=3)
    replica = prepare(normed, data, jax.random.key(0))
    logits = np.asarray(predict(replica, state, data.test.features, jax.random.key(1)), np.float64)
    bits = -np.log2(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[np.arange(50), data.test.labels]
    is_clean = ~np.asarray(data.test.has_trigger)
    assert found["lab_surprise"][-1].item() == pytest.approx(bits[is_clean].mean(), rel=1e-4)
    assert found["lab_surprise_count"][-1] == is_clean.sum() < 50
    mean = state.model_states[0]["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(mean, data.train.features[0].mean(axis=0), atol=0.3)
    assert "lab_surprise" in vfl.reports.rows(found)[0]


@pytest.mark.long
def test_a_step_is_that_of_the_formulas(scenario, data):
    """The first loss, in NumPy: tanh of the tables, the mean of the embeddings, the focal loss."""
    replica, ids = prepare(scenario, data, jax.random.key(3)), np.arange(25)
    state = init(replica)
    _, info = step(replica, state, batch(replica, ids))
    rows = helpers.as_multi_hot(data).train
    sent = [np.tanh(x[ids] @ np.asarray(p["kernel"])) for x, p in zip(rows.features, state.params, strict=True)]
    logits = (sent[0] + sent[1]) / 2
    right = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True))[ids, rows.labels[ids]]
    assert float(info.loss) == pytest.approx(np.mean((1 - right) ** 2 * -np.log(right)), rel=1e-5)


@pytest.mark.long
def test_bags_of_ids_are_their_multi_hot_rows(scenario, data):
    """An own bottom with an own optimizer: three epochs on bags and on dense rows."""
    assert isinstance(data.train.features[1], vfl.BagOfIds)
    dense = helpers.as_multi_hot(data)
    ends = [vfl.run(scenario, rows, jax.random.key(0), epochs=3)[1] for rows in (data, dense)]
    chex.assert_trees_all_close(ends[0].params, ends[1].params, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("bottom", "decay"), [pytest.param("own", 0.1, marks=pytest.mark.long), ("the package's", 0.0)]
)
def test_an_optax_schedule_counts_steps_on_bags_too(bottom, decay, scenario, data, lab):
    """AdamW in NumPy (Loshchilov and Hutter 2019), on gradients that a step of plain SGD with rate 1 shows."""
    num_steps, rate = 6, 0.05
    optimizer = lab.models.LabAdamW(learning_rate=rate, weight_decay=decay, num_steps=num_steps)
    bottoms = scenario.bottoms if bottom == "own" else (vfl.models.Linear(width=2),) * 2
    adam = scenario.replace(
        bottoms=bottoms, optimizers=(optimizer,) * 2, loss=vfl.models.SoftmaxCrossEntropy(reduction="sum")
    )
    plain = adam.replace(optimizers=(Optimizer(learning_rate=1.0),) * 2)
    replica, by_sgd = (prepare(s, data, jax.random.key(0)) for s in (adam, plain))
    state, sgd = init(replica), init(by_sgd)
    one, other = (helpers.quick_jit(functools.partial(step, r)) for r in (replica, by_sgd))
    path = bottoms[1].table
    mean, square = 0.0, 0.0
    for t in range(num_steps):
        rows = batch(replica, np.arange(25) + 25 * t)
        before = table_of(state, path)
        after, _ = other(sgd.replace(params=state.params, head_params=state.head_params), rows)
        gradient = before - table_of(after, path)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        direction = mean / (1 - 0.9 ** (t + 1)) / (np.sqrt(square / (1 - 0.999 ** (t + 1))) + 1e-8)
        now = rate * (1 + np.cos(np.pi * t / num_steps)) / 2
        state, _ = one(state, rows)
        expected = before - now * (direction + decay * before)
        np.testing.assert_allclose(table_of(state, path), expected, rtol=0, atol=2e-5)


def table_of(state, path):
    """The table of party 1, which has the bags."""
    return np.asarray(flatten_dict(state.params[1])[path], np.float64)


@pytest.mark.long
def test_workers_know_the_plugin(lab, tmp_path):
    """A process that has imported nothing gets records and a loader, whose modules it imports itself."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = vfl.sweep(
            PRESETS["lab_normed"](),
            source("lab_readings", None, 2),
            seeds=1,
            epochs=2,
            progress=False,
            folder=tmp_path / "sweep",
            executor=pool,
            keep="params",
        )
    assert found["loss"].notnull().all()
    assert found["lab_surprise"].notnull().all()
    logits = vfl.predict(found)  # with the running means that the worker left in the folder
    accuracy = (logits.argmax("class") == logits.label).mean("row")
    np.testing.assert_allclose(accuracy, found["main_task_accuracy"].isel(epoch=-1), atol=1e-6)
    assert len(list((tmp_path / "sweep").rglob("*.nc"))) > 1


def test_flags_take_own_methods_by_name(lab):
    preset = vfl.presets.digits_demo()
    flags = {"attack": ("1=LabReversal",), "defense": ("Clipping", "LabRounding"), "set": ("attack.strength=3",)}
    chosen = scenario_of(RunPreset(scenario=preset, data="digits", metric=("lab_surprise",), **flags), preset)
    parts = vfl.defenses.Clipping(), lab.methods.LabRounding()
    attacks = vfl.PartyTransform(), lab.methods.LabReversal(strength=3)
    assert chosen == preset.replace(
        attacks=attacks, defense=vfl.ActiveChain(parts=parts), metrics=(lab.metrics.lab_surprise,)
    )
    with pytest.raises(ValueError, match=says("--metric is 'lab_surpris', no known metric", "lab_surprise")):
        scenario_of(RunPreset(scenario=preset, data="digits", metric=("lab_surpris",)), preset)


def test_a_module_that_fails_is_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lab_broken.py").write_text("import numpy\nnumpy.no_such_thing\n")
    with pytest.raises(ValueError, match=says("plug-in 'lab_broken' cannot be imported", "no_such_thing")):
        vfl.load_plugins("lab_broken")
    with pytest.raises(ValueError, match=says("plug-in 'lab_absent'", "No module named 'lab_absent'", "PYTHONPATH")):
        vfl.load_plugins(["json", "lab_absent"])
    (tmp_path / "lab_syntax.py").write_text("def f(:\n")
    (tmp_path / "lab_hook.py").write_text(
        "import vfl_jax as vfl\n\n\nclass LabHook(vfl.Attack):\n    def on_downlaod(self, key):\n        return key\n"
    )
    (tmp_path / "lab_lacking.py").write_text("import lab_nowhere\n")
    for module, parts in {
        "lab_broken": ("no_such_thing", "Python finds the module; the mistake shows in", "lab_broken.py, line 2."),
        "lab_syntax": ("SyntaxError", "(lab_syntax.py, line 1)", "Python finds the module; the mistake is in it."),
        "lab_hook": ("on_downlaod", "Did you mean 'on_download'?", "lab_hook.py, line 4."),
        "lab_lacking": ("No module named 'lab_nowhere'", "lab_lacking.py, line 1."),
    }.items():
        with pytest.raises(ValueError, match=says(f"plug-in {module!r} cannot be imported", *parts)) as failed:
            vfl.load_plugins(module)
        assert "PYTHONPATH" not in str(failed.value)
    for wrong in (np, 5, [np]):
        with pytest.raises(ValueError, match=says("modules is", "names of modules")):
            vfl.load_plugins(wrong)
    add_entry_point(tmp_path, "labbroken", "lab_broken")
    with pytest.raises(ValueError, match=says("plug-in 'labbroken' (lab_broken", "package 'labbroken')", "uninstall")):
        vfl.load_plugins()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lab_mine.py", "lab_mine"),
        ("./lab_mine.py", "lab_mine"),
        ("lab/mine.py", "lab.mine"),
        ("lab/mine", "lab.mine"),
        ("/there/lab_mine.py", "lab_mine"),
        ("../there/lab_mine.py", "lab_mine"),
        ("lab_absent", None),
        ("lab_absent.parts", None),
        (".lab", None),
        (".py", None),
        ("two words.py", None),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_is_no_module(tmp_path, monkeypatch, typed, meant, is_there):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    if is_there:
        (tmp_path / "lab_mine.py").write_text("")
    parts = () if meant is None else (f"Did you mean '{meant}'?",)
    message = says(f"plug-in {typed!r} cannot be imported", *parts, "PYTHONPATH, or in the current folder.")
    with pytest.raises(ValueError, match=message) as refused:
        vfl.load_plugins(typed)
    assert said(refused.value, ["list"]).count("Did you mean --plugin ") == (meant is not None)
    sys.modules.pop("lab_mine", None)


def as_in(module, code):
    """Runs code as if it stood in a module."""
    exec(code, {"__name__": module, "vfl": vfl})


def test_a_name_belongs_to_the_module_that_registered_it(monkeypatch):
    for members, register in ((LOADERS, "register_data"), (PRESETS, "register_preset")):
        monkeypatch.setitem(members, "lab_own", None)
        del members["lab_own"]
        as_in("lab_first", f"vfl.{register}('lab_own', list)")
        as_in("lab_first", f"vfl.{register}('lab_own', tuple)")  # as a notebook does
        assert members["lab_own"] is tuple
        with pytest.raises(ValueError, match=says("lab_second registers", "'lab_own'", "lab_first has one")):
            as_in("lab_second", f"vfl.{register}('lab_own', list)")
        taken = next(iter(members))
        with pytest.raises(ValueError, match=says("lab_second registers", taken, "vfl_jax has one")):
            as_in("lab_second", f"vfl.{register}({taken!r}, list)")


@pytest.mark.parametrize("name", ["", "two words", "--flag", 5, "a=b"])
def test_names_are_words(name):
    with pytest.raises(ValueError, match=says("name is", "a word")):
        vfl.register_data(name, list)
    assert name not in LOADERS


def test_a_preset_that_is_registered_again_forgets_its_data():
    vfl.register_preset("lab_again", vfl.presets.zou2022, data="mnist")
    try:
        assert DATA_OF["lab_again"] == "mnist"
        vfl.register_preset("lab_again", vfl.presets.zou2022)
        assert "lab_again" not in DATA_OF
    finally:
        PRESETS.pop("lab_again")


def test_what_is_registered_is_a_function():
    with pytest.raises(ValueError, match=says("data set 'lab_numbers' is 5", "function")):
        vfl.register_data("lab_numbers")(5)
    with pytest.raises(ValueError, match=says("preset 'lab_numbers' is 5", "function")):
        vfl.register_preset("lab_numbers", 5)


@pytest.mark.parametrize(
    ("name", "function", "parts"),
    [
        ("lab_fails", lambda: 1 / 0, ("preset 'lab_fails' of", __name__, "ZeroDivisionError")),
        ("lab_nothing", lambda: None, ("preset 'lab_nothing' is None", "Scenario", __name__)),
        ("zou2022-nus_wide", vfl.presets.zou2022, (__name__, "'zou2022-nus_wide'", "another subcommand")),
        ("json", vfl.presets.zou2022, (__name__, "'json'", "another subcommand")),
    ],
)
def test_presets_that_cannot_be_commands_are_refused(name, function, parts):
    vfl.register_preset(name, function)
    try:
        with pytest.raises(ValueError, match=says(*parts)):
            subcommands()
    finally:
        PRESETS.pop(name)
