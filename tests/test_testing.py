"""The check of methods: it finds what breaks a promise, names it, and passes what only looks alike."""

import functools
import math
import subprocess
import sys
import typing

import helpers
import jax.numpy as jnp
import leaking_methods as planted
import numpy as np
import pytest

import vfl_jax as vfl
from vfl_jax.core.record import kinds
from vfl_jax.replica import capabilities, initial
from vfl_jax.testing import CheckFailed, check_method
from vfl_jax.testing.bench import benches, permuted
from vfl_jax.testing.failures import Kind
from vfl_jax.testing.together import remarks
from vfl_jax.testing.watching import held

FOUND = {
    planted.WalksFrames: ("frames", "WalksFrames uses sys._getframe in WalksFrames.on_download"),
    planted.InspectsFrames: ("frames", "InspectsFrames uses inspect in"),
    planted.ImportsInspect: ("frames", "ImportsInspect uses inspect"),
    planted.ReadsTracebacks: ("frames", "ReadsTracebacks uses __traceback__"),
    planted.AsksTheCollector: ("frames", "AsksTheCollector uses gc"),
    planted.OpensClosures: ("frames", "OpensClosures uses __closure__"),
    planted.NamesFramesInTexts: ("frames", "NamesFramesInTexts uses '_getframe'"),
    planted.HoldsInAClosure: (
        "arrays",
        "array .* at HoldsInAClosure.on_download, in its closure as labels",
    ),
    planted.HoldsInADefault: ("arrays", r"shape \(36,\) at HoldsInADefault.on_download, in its defaults"),
    planted.HoldsInItsClass: ("arrays", r"shape \(36,\) at HoldsInItsClass.labels"),
    planted.HoldsInAGlobal: ("arrays", "at HoldsInAGlobal.on_download, as LABELS"),
    planted.HoldsInAList: ("arrays", "holds 72 numbers at HoldsInAList.on_download, as LISTED"),
    planted.HoldsInAPartial: ("arrays", r"at HoldsInAPartial.add \(partial\)"),
    planted.HoldsInAHelper: ("arrays", "at HoldsInAHelper.on_download, as helper, as LABELS"),
    planted.HoldsInACompiledHook: ("arrays", "at HoldsInACompiledHook.on_download, in its defaults"),
    planted.HoldsInTheProgram: ("arrays", r"HoldsInTheProgram.on_download holds an array .*\(36,\)"),
    planted.LoadsADataSet: ("loads", "LoadsADataSet uses load_digits"),
    planted.LoadsByAnotherName: ("loads", "LoadsByAnotherName uses load_digits"),
    planted.LoadsAFile: ("loads", "LoadsAFile uses numpy.load"),
    planted.OpensAFile: ("loads", "OpensAFile uses open"),
    planted.AsksTheNet: ("loads", "AsksTheNet uses urllib"),
    planted.SetsAGlobal: ("hidden", "SetsAGlobal sets the global LATEST in SetsAGlobal.on_labels"),
    planted.FillsADictionary: ("hidden", r"FillsADictionary.on_upload changes .*STASH \(embedding\)"),
    planted.FillsAList: ("hidden", "FillsAList.on_upload changes .*HEARD"),
    planted.SetsItsClass: ("hidden", r"SetsItsClass.on_upload changes SetsItsClass \(heard\)"),
    planted.SetsAModule: ("hidden", "SetsAModule sets math.heard"),
    planted.SetsAFunction: ("hidden", r"SetsAFunction.on_upload changes .*innocent_helper \(heard\)"),
    planted.LoadsUnderAHiddenName: ("arrays", r"LoadsUnderAHiddenName.on_download holds an array .*\(36,\)"),
    planted.HidesItsName: ("flow", "HidesItsName learns of the labels of the training rows.*params"),
    planted.HidesItsNameFromOthers: ("flow", "HidesItsNameFromOthers learns of the features of other parties"),
    planted.ReadsTestLabels: ("flow", "ReadsTestLabels learns of the labels of the test rows.*logits"),
    planted.ReadsFeatures: ("flow", "ReadsFeatures learns of the features of other parties"),
    planted.DrawsFromNumPy: ("purity", "DrawsFromNumPy.on_download is another program"),
    planted.ReadsTheClock: ("purity", "ReadsTheClock.on_send is another program"),
    planted.ChangesItsState: ("purity", "ChangesItsState.on_download changes its argument 1"),
    planted.ChangesItself: ("purity", "ChangesItself.on_download changes its own attributes"),
    planted.CallsBack: ("purity", "CallsBack.on_download calls back into Python"),
    planted.CutsRows: ("form", r"CutsRows.on_send returns .*float32\[3, .*must keep the form .*float32\["),
    planted.CutsTestRows: ("form", r"CutsTestRows.infer_logits returns float32\[2, 3\]; .* float32\[4, 3\]"),
    planted.ForgetsItsState: ("form", "ForgetsItsState.on_upload returns a .*; it must return .the changed value"),
    planted.WidensItsState: ("form", r"WidensItsState.on_upload returns a state int32\[2\]; .* float32\[2\]"),
    planted.GuessesInFloats: ("form", r"GuessesInFloats.infer_labels returns float32\[1\] .*; it must be int32\[1\]"),
    planted.SuspectsWithoutScores: ("form", r"infer_suspicion returns float32\[1\] as score; it must be float32\[1, "),
    planted.PenalisesRows: ("form", r"PenalisesRows.on_embed returns float32\[9\] as the penalty"),
    planted.AsksANumber: ("hook", "AsksANumber.on_send does not run: TracerBoolConversionError"),
    planted.KnowsTheGrid: ("sweep", "KnowsTheGrid in a grid differs from the run of that point alone"),
    planted.HidesANumber: ("json", "HidesANumber has hidden, which is no field"),
}


@pytest.mark.parametrize("method", FOUND, ids=lambda method: method.__name__)
def test_what_breaks_a_promise_is_found_and_named(method):
    kind, message = FOUND[method]
    before = dict(vars(method))
    with pytest.raises(CheckFailed, match=f"(?s){message}.*check: {kind}") as raised:
        check_method(method)
    assert raised.value.kind == kind
    assert raised.value.where.startswith(method.__name__)
    hooks = [name for name in before if name.startswith(("on_", "infer_"))]
    assert all(vars(method)[name] is before[name] for name in hooks)  # nothing is left on the class


def test_what_is_not_neutral_is_found():
    with pytest.raises(CheckFailed, match=r"RoundsAtNeutral with factor=1 does not give the honest run.*neutrality"):
        check_method(planted.RoundsAtNeutral, neutral={"factor": 1.0})


@pytest.mark.long
def test_what_only_looks_alike_passes():
    check_method(planted.Innocent)


def test_a_view_that_holds_the_labels_is_found(monkeypatch):
    own_rows = capabilities.own_rows

    def leaking(scenario, inputs, knowledge, party):
        rows = own_rows(scenario, inputs, knowledge, party)
        return functools.partial(lambda labels, ids: rows(ids), inputs)

    monkeypatch.setattr(capabilities, "own_rows", leaking)
    with pytest.raises(CheckFailed, match=r"gets view.rows, which holds the .* training rows"):
        check_method(vfl.attacks.GradientReplacement)


class Keeper:
    """Holds an array behind an attribute, a dictionary and a list."""

    def __init__(self, array):
        self.inside = {"deep": [array]}

    def __call__(self, x):
        return x

    def method(self, x):
        return x


def test_everything_that_a_function_holds_is_walked():
    """Closures, defaults, partials, bound methods, objects and containers, once each."""
    secret, own = np.arange(3), jnp.arange(4)
    keeper = Keeper(secret)
    keeping = [
        lambda x: (x, keeper),
        lambda x, default=keeper: (x, default),
        functools.partial(lambda x, y: (x, y), y=(own, keeper)),
        keeper.method,
        keeper,
        functools.wraps(keeper.method)(lambda x: x),
    ]
    for function in keeping:
        assert sum(leaf is secret for leaf in held(function)) == 1
    assert not list(held(lambda x: jnp.add(x, 1)))


PLAIN = vfl.models.Optimizer()  # optax's Adam takes no strict promotion of dtypes
ARGUMENTS = {
    "ALIBI": {"prior": "labels", "epsilon": 1.0},
    "BASL": {"at_epochs": (0,), "num_kept": 2},
    "CAE": {"hidden": 4, "num_labels": 8, "batch_size": 8, "num_epochs": 2, "optimizer": PLAIN},
    "CentroidReplay": {"centres": "clusters", "cluster_rows": 6, "source": 1},
    "BadVFL": {"threshold": -1.0, "poison_rate": 0.05},
    "Clipping": {"bound": 0.05},
    "DiscreteGradients": {"bins": 4.0},
    "DistanceCorrelation": {"weight": 0.1},
    "EmbeddingClipping": {"bound": 0.05},
    "EmbeddingDropout": {"rate": 0.5},
    "EmbeddingFilter": {"start": 0.0, "radius": 99.0},
    "EmbeddingNormalisation": {"length": 1.0},
    "GBD": {"inference_batch": 6},
    "GaussianNoise": {"stddev": 0.1},
    "GradPerturb": {"epsilon": 1.0},
    "GradientAveraging": {"share": 0.5},
    "IsotropicNoise": {"ratio": 0.5},
    "LabelSmoothing": {"smoothing": 0.2},
    "LaplaceNoise": {"scale": 0.1},
    "LearnedMessage": {"at_epochs": (0,)},
    "LFBA": {"poison_rate": 0.5, "switch_rate": 1.0},
    "LRBA": {
        "num_steps": 2,
        "batch_size": 4,
        "search_steps": 2,
        "tuning_passes": 2,
        "tuning_size": 4,
        "num_stamped": 3,
    },
    "MID": {"weight": 0.1, "optimizer": PLAIN},
    "Marvell": {"power": 1.0},
    "MaxNormNoise": {"scale": 1.0},
    "MissingFeatures": {"rate": 0.5},
    "PassiveModelCompletion": {"num_steps": 2, "batch_size": 4},
    "RandomisedResponse": {"epsilon": 0.5},
    "SignSGD": {"size": 1.0},
    "Sparsification": {"drop_rate": 0.5},
    "TECB": {"align_from": 0},
    "VFLIP": {"optimizer": PLAIN, "num_epochs": 2, "remakes": "suspects"},
    "VFLMonitor": {"action": "report", "size": 8},
    "Villain": {"search_from": 0, "poison_from": 0, "ratio": 2.0, "largest_norm": 99.0, "classifier": PLAIN},
}
"""Arguments of methods whose defaults do nothing in one epoch, or which need some."""
NEUTRAL: dict[str, dict[str, float]] = {"GBD": {}, "VFLIP": {"deviations": 1e9}, "VFLMonitor": {"weight": 0.0}}
"""Of defenses that say no neutral numbers: those at which they change no training, by their defaults or ``ARGUMENTS``.
One that only answers says {}."""
OF_TWO_CLASSES = ("Marvell", "NormInference", "SpectralInference")
"""Methods that refuse data of more classes."""
METHODS = [(room, name) for room in (vfl.attacks, vfl.defenses) for name in room.__all__]


@pytest.mark.parametrize("name", vfl.defenses.__all__)
def test_every_defense_says_at_which_numbers_it_changes_nothing(name):
    """Prices go by what it says; the long test below trains at these numbers and compares to the bit."""
    kind = getattr(vfl.defenses, name)
    if kind.neutral is None:
        assert name in NEUTRAL, f"say {name}.neutral, or here why nobody can be certain"
        return
    assert kind.neutral
    assert set(kind.neutral) <= set(vfl.numbers(kind()))
    for number in kind.neutral.values():
        assert number in (0, 1, math.inf)  # all that float32 holds exactly


def test_a_defense_of_ones_own_can_say_it_too():
    class HalvedGradients(vfl.ActiveTransform):
        neutral = {"share": 0.0}
        share: float = 0.5

        def on_send(self, key, state, view, gradients):
            return tuple((1 - 0.5 * self.share) * gradient for gradient in gradients), state

    check_method(HalvedGradients, runs=False)

    class NamesNothing(HalvedGradients):
        neutral = {"half": 0.0}

    with pytest.raises(ValueError, match="neutral names 'half', no number of NamesNothing; there are share"):
        check_method(NamesNothing, runs=False)


def test_it_says_what_it_checked_and_what_not():
    class SilentlyHalved(vfl.ActiveTransform):
        share: float = 0.5

        def on_send(self, key, state, view, gradients):
            return tuple(self.share * gradient for gradient in gradients), state

    found = check_method(SilentlyHalved)
    assert found.method == "SilentlyHalved"
    assert found.passed == ("source", "JSON", "hooks", "flow", "grids")
    assert found.skipped == ("neutrality: no neutral numbers are known; give neutral=, or say them in the class.",)
    assert found.remarks == ()
    assert repr(found).splitlines() == [
        "SilentlyHalved passed: source, JSON, hooks, flow, grids.",
        "  Skipped: neutrality: no neutral numbers are known; give neutral=, or say them",
        "    in the class.",
    ]
    assert check_method(SilentlyHalved, neutral={"share": 1.0}, runs=False) == vfl.testing.Checked(
        "SilentlyHalved",
        ("source", "JSON", "hooks"),
        ("flow, neutrality, grids: runs=False compiles no whole run.",),
    )


def test_a_scenario_that_a_method_refuses_is_not_checked():
    class NoPair(vfl.Attack):
        def check(self, shapes, party, by_role):
            if by_role:
                raise ValueError("NoPair takes no appended pair.")

    assert check_method(NoPair, runs=False).skipped[0] == "1 of 3 scenarios: NoPair takes no appended pair."


class CapsByTheBatch(vfl.ActiveTransform):
    """Caps messages at the median length of the batch, which is a row's own length where the row is alone."""

    def infer_receive(self, key, state, view, embeddings):
        return tuple(self._capped(embedding) for embedding in embeddings)

    def _capped(self, embedding):
        length = jnp.linalg.norm(embedding, axis=-1, keepdims=True)
        limit = jnp.median(length)
        return jnp.where(length > limit, embedding * limit / length, embedding)


class RanksTheBatch(vfl.ActiveTransform):
    """Suspects what lies far from the mean of the batch, which is a row itself where the row is alone."""

    def infer_suspicion(self, key, state, view, embeddings):
        score = jnp.stack([jnp.abs(e - e.mean(axis=0, keepdims=True)).sum(axis=-1) for e in embeddings], axis=-1)
        return vfl.Suspicion(score=score, is_suspect=score.max(axis=-1) > 1.0)


class CapsByItsState(CapsByTheBatch):
    """Keeps the usual length of training: it caps single rows, too."""

    def init(self, key, shapes):
        return jnp.float32(0.0)

    def on_receive(self, key, state, view, embeddings):
        return embeddings, jnp.median(jnp.linalg.norm(embeddings[0], axis=-1))

    def infer_receive(self, key, state, view, embeddings):
        lengths = [jnp.linalg.norm(embedding, axis=-1, keepdims=True) for embedding in embeddings]
        return tuple(jnp.where(n > state, e * state / n, e) for n, e in zip(lengths, embeddings, strict=True))


class SeesTheBatch(CapsByTheBatch):
    """Says that it sees rows together."""

    inference_batch = 6


class TakesOneRow(vfl.ActiveTransform):
    """Runs on one row alone."""

    def infer_logits(self, key, state, view, logits):
        return logits.reshape(1, 3)


def remarks_of(method):
    """The remarks on a method before its first step."""
    bench = benches()[0]
    start = initial.init(bench.shapes, bench.inputs, bench.numbers(method), bench.draws, bench.models)
    return remarks(bench, method, start)


def test_what_acts_on_rows_together_alone_is_remarked():
    """At inference it sees one row at a time, so it would never act."""
    found = check_method(CapsByTheBatch)
    (remark,) = found.remarks
    assert remark.startswith("CapsByTheBatch.infer_receive changes nothing where it sees one test row at a time")
    assert "set inference_batch" in remark
    assert f"Remark: {remark[:40]}" in repr(found)
    (remark,) = remarks_of(RanksTheBatch())
    assert remark.startswith("RanksTheBatch.infer_suspicion scores every row alike")


@pytest.mark.parametrize("method", [CapsByItsState, SeesTheBatch, TakesOneRow, vfl.attacks.Replay])
def test_what_acts_on_single_rows_or_asks_for_several_is_not_remarked(method):
    assert remarks_of(method()) == ()


def test_without_runs_nothing_is_compiled_and_so_no_flow_is_seen(monkeypatch):
    monkeypatch.setattr("vfl_jax.testing.checking.check_flow", lambda *_: pytest.fail("a whole run was asked for"))
    check_method(planted.HidesItsName, runs=False)


@pytest.mark.long
@pytest.mark.parametrize(("room", "name"), METHODS, ids=[name for _, name in METHODS])
def test_every_method_of_the_package_keeps_its_promises(room, name):
    kind = getattr(room, name)
    try:
        method = kind(**ARGUMENTS.get(name, {}))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name} needs arguments: give them in ARGUMENTS.") from error
    given = helpers.two_classes() if name in OF_TWO_CLASSES else {}
    found = check_method(method, neutral=NEUTRAL.get(name), **given)
    assert found.remarks == ()
    assert "flow" in found.passed


def test_every_registered_method_is_checked():
    """A method that registers itself and is in no ``__all__`` would be checked by nobody."""
    registered = {
        name
        for base in (vfl.PartyTransform, vfl.ActiveTransform)
        for name, kind in kinds(base).items()
        if kind.__module__.startswith(("vfl_jax.attacks", "vfl_jax.defenses"))
    }
    assert registered == {name for _, name in METHODS}


def test_every_planted_method_is_looked_for():
    methods = {
        kind
        for kind in vars(planted).values()
        if isinstance(kind, type)
        and issubclass(kind, vfl.PartyTransform | vfl.ActiveTransform)
        and kind.__module__ == planted.__name__
    }
    assert methods == {*FOUND, planted.RoundsAtNeutral, planted.Innocent}
    assert {kind for kind, _ in FOUND.values()} | {"neutrality"} == set(typing.get_args(Kind))


@pytest.mark.long
def test_chains_keep_their_promises():
    parts = [vfl.attacks.ActivationBlurring(), vfl.attacks.GradientReplacement()]
    check_method(vfl.PartyChain(parts=parts))
    with pytest.raises(CheckFailed, match=r"CutsRows.on_send returns"):
        check_method(vfl.ActiveChain(parts=[vfl.defenses.Clipping(), planted.CutsRows()]))


@pytest.mark.long
def test_a_scenario_and_data_of_one_s_own(two_parties):
    scenario = vfl.scenario_for(two_parties, attacker=1, trigger=vfl.data.PixelTrigger(pixels=((5, 5),), party=1))
    check_method(planted.Innocent, scenario=scenario, data=two_parties)
    with pytest.raises(CheckFailed, match=r"LoadsUnderAHiddenName.on_download holds an array"):
        check_method(planted.LoadsUnderAHiddenName, scenario=scenario, data=two_parties)


class Picky(vfl.Attack):
    """Accepts no scenario."""

    def check(self, shapes, party, by_role):
        raise ValueError("widths are odd.")


def test_what_is_given_is_checked(two_parties):
    with pytest.raises(CheckFailed, match=r"Picky.check refuses every scenario: widths are odd.*Give scenario="):
        check_method(Picky)
    with pytest.raises(ValueError, match="method is 3; it must derive from"):
        check_method(3)
    with pytest.raises(ValueError, match="scenario and data belong together"):
        check_method(planted.Innocent, data=two_parties)
    with pytest.raises(ValueError, match="other names 'slop', no number of Innocent; there are enabled, slope"):
        check_method(planted.Innocent, other={"slop": 1.0})


def test_rows_are_permuted_as_they_say():
    """In blocks of test rows, too; what is not named stays."""
    bench = benches()[0]
    for rows in (bench.data.train, bench.inputs.test):
        before, after = rows.labels, permuted(rows, 1, labels=True).labels
        assert not np.array_equal(before, after)
        np.testing.assert_array_equal(np.sort(before), np.sort(after))
        moved = permuted(rows, 1, features=(2,)).features
        assert [np.array_equal(a, b) for a, b in zip(rows.features, moved, strict=True)] == [True, True, False]


def test_it_is_imported_where_it_is_asked_for_and_needs_no_pytest():
    """Its own methods are in no list otherwise."""
    code = (
        "import sys, vfl_jax; assert 'vfl_jax.testing' not in sys.modules; vfl_jax.testing.check_method; "
        "assert 'pytest' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'testin'"):
        _ = vfl.testin
