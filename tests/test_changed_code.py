"""A folder knows the code of own records: results of changed code are refused, or accepted in so many words."""

import json

import optax
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from executor_helpers import load_tiny

from vfl_jax.protocol.transforms import Attack, PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import executors
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.progress import Progress
from vfl_jax.sweeps.store import manifest
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps.sweep import sweep

DATA = tiny_data()


def attack(factor):
    """A class of one name and one module, whatever it does."""
    source = f"""
class ChangedAttack(Attack):
    enabled: float = 1.0
    def on_download(self, key, state, view, gradient):
        return {factor} * gradient, state
"""
    names = {"Attack": Attack, "__name__": __name__}
    exec(source, names)
    return names["ChangedAttack"]()


def scenario(factor):
    return tiny_scenario(attacks=(PartyTransform(), attack(factor)))


def swept(folder, factor, seeds=1, **options):
    return sweep(scenario(factor), DATA, seeds=seeds, epochs=1, folder=folder, progress=False, **options)


@pytest.mark.long
def test_results_of_changed_code_are_refused_and_may_be_accepted(tmp_path):
    first = swept(tmp_path, 1.0)
    planned = (tmp_path / manifest.NAME).read_bytes()
    assert swept(tmp_path, 1.0).identical(first)
    with pytest.raises(ValueError, match=says(str(tmp_path), "ChangedAttack (attacks.1)", "accept_changed_code=True")):
        swept(tmp_path, -50.0)
    assert (tmp_path / manifest.NAME).read_bytes() == planned
    chunks = list(tmp_path.glob("chunks/*.nc"))
    assert swept(tmp_path, -50.0, accept_changed_code=True).identical(first)
    assert list(tmp_path.glob("chunks/*.nc")) == chunks
    # Once said, both are this study's; what is new is of the new code.
    grown = swept(tmp_path, -50.0, seeds=2)
    assert grown.isel(seed=[0]).loss.identical(first.loss)
    assert grown.isel(seed=1).loss.values == pytest.approx(sweep_alone(-50.0).isel(seed=1).loss.values)
    assert swept(tmp_path, 1.0, seeds=2).identical(grown)
    with pytest.raises(ValueError, match="ChangedAttack"):
        swept(tmp_path, 3.0)
    assert swept(tmp_path, 3.0, seeds=2, accept_changed_code=True).identical(grown)
    for factor in (1.0, -50.0, 3.0):  # whatever was accepted stays so
        assert swept(tmp_path, factor, seeds=2).identical(grown)


def counting(schedule):
    """A class whose hook counts its calls, and reads a schedule that another package made."""
    names = {"Attack": Attack, "optax": optax, "__name__": __name__}
    source = f"""
CALLS = {{}}
SCHEDULE = optax.{schedule}
class CountingAttack(Attack):
    enabled: float = 1.0
    def on_download(self, key, state, view, gradient):
        CALLS["n"] = CALLS.get("n", 0) + 1
        return SCHEDULE(view.step) * gradient, state
"""
    exec(source, names)
    return tiny_scenario(attacks=(PartyTransform(), names["CountingAttack"]())), names["CALLS"]


@pytest.mark.long
def test_calls_may_be_counted_but_not_a_value_changed(tmp_path):
    asked, calls = counting("constant_schedule(1.0)")
    options = {"seeds": 1, "epochs": 1, "folder": tmp_path, "progress": False}
    first = sweep(asked, DATA, **options)
    assert calls["n"] > 0
    assert sweep(asked, DATA, **options).identical(first)
    assert sweep(counting("constant_schedule(1.0)")[0], DATA, **options).identical(first)
    with pytest.raises(ValueError, match=says("CountingAttack (attacks.1)")):
        sweep(counting("constant_schedule(0.0)")[0], DATA, **options)


def sweep_alone(factor):
    return sweep(scenario(factor), DATA, seeds=2, epochs=1, progress=False)


def identity(factor, **changes):
    return Study(scenario(factor), DATA, 1, Given()).identity | changes


def test_accepting_accepts_code_alone(tmp_path):
    folder = Folder(tmp_path, identity(1.0))
    folder.accept_code()
    assert not tmp_path.exists() or not list(tmp_path.iterdir())
    folder.plan(lambda done, most: [Chunk(({},), (0,))], 1)
    other = Folder(tmp_path, identity(2.0, epochs=7))
    with pytest.raises(ValueError, match=says("another study", "epochs was 1 there, is 7 here")):
        other.accept_code()
    twice = Folder(tmp_path, identity(2.0))
    twice.accept_code()
    before = (tmp_path / manifest.NAME).read_bytes()
    twice.accept_code()
    assert (tmp_path / manifest.NAME).read_bytes() == before
    assert len(json.loads(before)["accepted_code"]) == 1
    chunk = Chunk(({},), (0,))
    assert Folder(tmp_path, identity(2.0)).name(chunk) == Folder(tmp_path, identity(1.0)).name(chunk)
    assert chunk.name(identity(2.0)) != chunk.name(identity(1.0))


def test_another_python_is_named(tmp_path):
    there = identity(1.0)
    Folder(tmp_path, there).plan(lambda done, most: [], 1)
    code = dict.fromkeys(there["code"], "ChangedAttack 0") | {"python": "3.0"}
    with pytest.raises(ValueError, match=says("ChangedAttack (attacks.1)", "Python was 3.", "there, is 3.0 here")):
        Folder(tmp_path, there | {"code": code}).planned()


def test_without_the_manifest_changed_code_finds_nothing(tmp_path):
    chunk = Chunk(({},), (0,))
    assert Folder(tmp_path, identity(1.0)).name(chunk) != Folder(tmp_path, identity(2.0)).name(chunk)


def test_a_worker_with_other_code_is_told_so(tmp_path):
    study = Study(scenario(1.0), DATA, 1, Given())
    folder, chunk = Folder(tmp_path, study.identity), Chunk(({},), (0,))
    with (
        folder.run() as run,
        pytest.raises(ValueError, match=says("not compute the same numbers", "code.attacks.1 was")),
    ):
        executors.train_task(folder.path, study.identity, scenario(2.0), load_tiny, 1, Given(), None, chunk, 5, run, 0)


@pytest.mark.long
def test_accepted_code_goes_through_workers(tmp_path):
    swept(tmp_path, 1.0)
    Folder(tmp_path, identity(2.0)).accept_code()
    study = Study(scenario(2.0), load_tiny(), 1, Given())
    folder = Folder(tmp_path, study.identity)
    done = []

    class Here:
        def submit(self, task, *arguments):
            from concurrent.futures import Future

            future = Future()
            task(*arguments)
            done.append(arguments)
            future.set_result(None)
            return future

    chunk = Chunk(({},), (1,))
    executors.train_through(Here(), load_tiny, study, folder, [chunk], Progress(1, [1], shown=False), 5)
    assert len(done) == 1
    assert folder.check(chunk)
