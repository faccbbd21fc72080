"""A sweep's folder: the plan is made once, growth reuses, foreign folders and damage are noticed."""

import dataclasses
import importlib
import json
import shutil

import h5py
import jax
import numpy as np
import pytest
from data_helpers import says
from sweep_helpers import DATA, EPOCHS, OVER, SCENARIO, assert_close, content, grid_of, logged, record_training, swept

from vfl_jax.core import files, record
from vfl_jax.core.record import with_numbers
from vfl_jax.defenses import GaussianNoise
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import devices, programs, study
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.store import manifest
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps.sweep import run

OWN = {"poison.rate": [SCENARIO.poison.rate]}


@pytest.fixture(scope="module")
def at_once():
    return swept()


@pytest.fixture
def trained(monkeypatch):
    return record_training(monkeypatch)


def stop(*_):
    raise KeyboardInterrupt


def state_of(folder):
    """Of every file and folder its bytes and times."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        found[path] = path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None
    return found


def shapes(chunks):
    return [(len(chunk.points), len(chunk.seeds)) for chunk in chunks]


def test_a_complete_sweep_is_only_read(at_once, tmp_path, trained):
    first = swept(tmp_path, log_json=tmp_path.with_suffix(".log"))
    assert first.identical(at_once)
    before, compiled = state_of(tmp_path), programs.train_epoch._cache_size()
    trained.clear()
    again = swept(tmp_path, max_replicas=2, checkpoint_every=1, log_json=tmp_path.with_suffix(".log"))
    assert again.identical(first)
    assert not trained
    assert programs.train_epoch._cache_size() == compiled
    assert state_of(tmp_path) == before
    assert len(logged(tmp_path.with_suffix(".log"), "sweep")) == 1


@pytest.mark.long
def test_the_cut_is_settled_at_the_first_start(at_once, tmp_path, monkeypatch, trained):
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            swept(tmp_path, max_replicas=3)
    planned = (tmp_path / "manifest.json").read_bytes()
    trained.clear()
    monkeypatch.setattr(devices, "free_memory", lambda mesh: pytest.fail("asked again"))
    assert_close(swept(tmp_path), at_once)
    assert shapes(trained) == [(3, 1)] * 3
    assert (tmp_path / "manifest.json").read_bytes() == planned


@pytest.mark.long
def test_growth_and_shrinking_reuse(at_once, tmp_path, trained):
    def grown(over=OVER, **options):
        trained.clear()
        settled = (tmp_path / manifest.NAME).exists()
        found = swept(tmp_path, over=over, max_replicas=9 if settled else 3, **options)
        assert files.load(tmp_path / "results.nc").identical(found)
        return found

    smaller = {"poison.rate": [0.2, 0.1]}  # the most poison rows first; the scenario's own rate is among them
    grown(smaller, seeds=[2])
    grown(smaller, seeds=[0])  # as many as before
    assert [chunk.seeds for chunk in trained] == [(0,)]
    grown(seeds=[2])
    assert shapes(trained) == [(1, 1)]
    assert trained[0].points == ({"poison.rate": 0.3},)
    found = grown()
    assert shapes(trained) == [(1, 1), (3, 1)]
    assert_close(found, at_once)
    # A new axis, in which the old points are one value; the same number written otherwise.
    further = {"attack.amplify": [np.float32(10.0)], "poison.rate": [0.2, 0.3, np.float32(0.1)]}
    assert SCENARIO.attacks[1].amplify == 10.0
    found = grown(further)
    assert not trained
    assert_close(found.isel({"attack.amplify": 0}).drop_vars("attack.amplify").assign_coords(at_once.coords), at_once)
    # Less of everything, in another order: what a sweep of that alone gives, down to the number of poison rows.
    for over, seeds in ((smaller, [1, 2]), ({}, [0])):
        found = grown(over, seeds=seeds)
        assert not trained
        assert_close(found, swept(over=over, seeds=seeds, max_replicas=2))


@pytest.mark.long
def test_an_axis_that_grows(tmp_path, trained):
    over = {"attack.amplify": [10.0, 3.0]} | OWN
    swept(tmp_path, over=OWN, seeds=1, max_replicas=1)
    trained.clear()
    found = swept(tmp_path, over=over, seeds=1)
    assert [point["attacks.1.amplify"] for chunk in trained for point in chunk.points] == [3.0]
    assert_close(found, swept(over=over, seeds=1, max_replicas=1))


def changed_data(**changes):
    return dataclasses.replace(DATA, **changes)


def with_one_more(leaf):
    return np.where(np.arange(leaf.size).reshape(leaf.shape) == 0, leaf + 1, leaf).astype(leaf.dtype)


OTHERS = {
    "a number of the scenario": (
        {"scenario": with_numbers(SCENARIO, {"defense.parts.1.stddev": 0.25})},
        ("scenario.defense.parts.1.stddev was 0.01 there, is 0.25 here",),
    ),
    "its structure": (
        {"scenario": SCENARIO.replace(defense=GaussianNoise(stddev=0.01))},
        ("scenario.defense", "ActiveChain", "there, is", "GaussianNoise"),
    ),
    "the name of the data": ({"data": changed_data(name="other")}, ("data.name was 'tiny' there, is 'other' here",)),
    "one pixel": (
        {
            "data": changed_data(
                train=DATA.train.replace(features=(with_one_more(DATA.train.features[0]), DATA.train.features[1]))
            )
        },
        ("data.fingerprint was", DATA.fingerprint(), "there, is"),
    ),
    "where pixels lie": (
        {"data": changed_data(positions=tuple(np.flip(p) for p in DATA.positions))},
        ("data.positions was", "there, is"),
    ),
    "epochs": ({"epochs": 4}, ("epochs was 3 there, is 4 here",)),
    "what is given": ({"given": Given(target_ids=np.array([3]))}, ("given was 'nothing' there, is", "here")),
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A folder with a plan, and nothing trained."""
    path = tmp_path_factory.mktemp("planned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("vfl_jax.sweeps.work"), "train", stop)
        with pytest.raises(KeyboardInterrupt):
            swept(path, max_replicas=3)
    return path


@pytest.mark.parametrize("other", OTHERS)
def test_the_folder_of_another_study_is_refused(planned, other):
    before = state_of(planned)
    options, message = OTHERS[other]
    with pytest.raises(ValueError, match=says(str(planned), "belongs to another study", *message)):
        swept(planned, **options)
    assert state_of(planned) == before


def test_other_versions_and_random_numbers_are_refused(planned, monkeypatch):
    found = study.versions()
    with monkeypatch.context() as patch:
        patch.setattr(study, "versions", lambda: found | {"jax": "0.0.1"})
        with pytest.raises(ValueError, match=says(f"versions.jax was '{found['jax']}' there, is '0.0.1' here")):
            swept(planned)
    with (
        jax.default_matmul_precision("float32"),
        pytest.raises(ValueError, match=says("precision", "is 'float32' here")),
    ):
        swept(planned)
    with (
        jax.threefry_partitionable(False),
        pytest.raises(ValueError, match=says("settings.jax_threefry_partitionable was True there, is False here")),
    ):
        swept(planned)
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/x --xla_cpu_enable_fast_math=true")
    with pytest.raises(
        ValueError, match=says("settings.xla_flags was [] there, is ['--xla_cpu_enable_fast_math=true']")
    ):
        swept(planned)


def test_wide_numbers_are_another_study(planned):
    before = state_of(planned)
    with jax.enable_x64(True), pytest.raises(ValueError, match=says("jax_enable_x64 was False there, is True here")):
        swept(planned)
    assert state_of(planned) == before


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
def test_random_numbers_that_replicas_share_are_refused(implementation):
    message = says("jax_default_prng_impl", implementation, "must be 'threefry2x32'", "vmap")
    with jax.default_prng_impl(implementation):
        with pytest.raises(ValueError, match=message):
            swept()
        with pytest.raises(ValueError, match=message):
            run(SCENARIO, DATA, jax.random.key(0, impl="threefry2x32"), 1)
    with pytest.raises(ValueError, match=says("generator of key", implementation, "must be 'threefry2x32'")):
        run(SCENARIO, DATA, jax.random.key(0, impl=implementation), 1)


def test_few_of_many_differences_are_shown(planned):
    numbers = dict.fromkeys(
        (path for path in record.numbers(SCENARIO) if "learning_rate" in path or "decay" in path), 0.5
    )
    with pytest.raises(ValueError, match=r"(?s)another study.*\n  and \d+ more$") as caught:
        swept(planned, scenario=with_numbers(SCENARIO, numbers))
    assert str(caught.value).count("there, is") == manifest.SHOWN


@pytest.mark.parametrize("name", ["notes.txt", "results.nc", "checkpoints"])
def test_a_folder_with_other_things_is_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=says(str(tmp_path), "no manifest.json", name, "give an empty folder")):
        swept(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.long
def test_what_a_killed_first_start_leaves_is_no_foreign_thing(tmp_path, trained):
    (tmp_path / "locks").mkdir()
    (tmp_path / ".manifest.json.abc123").write_text("half of a pl")
    swept(tmp_path, seeds=1, max_replicas=3)
    assert shapes(trained) == [(3, 1)]
    names = ["chunks", "locks", "manifest.json", "results.nc", "results.nc.run.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.long
def test_a_damaged_manifest_says_what_to_do(tmp_path, trained):
    swept(tmp_path, seeds=1, max_replicas=3)
    path, before = tmp_path / manifest.NAME, content(tmp_path)
    whole = path.read_bytes()
    flipped = whole.replace(b'"most_replicas": 3', b'"most_replicas": 7')
    assert flipped != whole
    for damaged in (flipped, whole[:500], b"", b"null", b"[]", b"{}", bytes([0xFF]) + whole):
        path.write_bytes(damaged)
        with pytest.raises(OSError, match=says(str(path), "is damaged", "Remove it")):
            swept(tmp_path, seeds=1, max_replicas=3)
        assert path.read_bytes() == damaged
    trained.clear()
    path.unlink()
    swept(tmp_path, seeds=1, max_replicas=3)
    assert not trained
    assert content(tmp_path) == before
    assert path.read_bytes() == whole


def test_a_folder_of_an_unknown_format_is_refused(planned, tmp_path):
    shutil.copytree(planned, tmp_path, dirs_exist_ok=True)
    path = tmp_path / manifest.NAME
    found = json.loads(path.read_text()) | {"format": manifest.FORMAT + 1}
    del found["digest"]
    path.write_text(json.dumps(found | {"digest": manifest.digest(found)}))
    with pytest.raises(ValueError, match=says("manifest.json has format 3; this version reads 2", "another folder")):
        swept(tmp_path)


def flip(path, place):
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 0x10
    path.write_bytes(damaged)


def flip_a_loss(path):
    with h5py.File(path) as file:
        place = file["loss"].id.get_chunk_info(0).byte_offset
    flip(path, place)


DAMAGE = (
    flip_a_loss,
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.write_bytes(b""),
    lambda path: path.unlink(),
)


# h5netcdf closes files that it failed to open, and Python reports what that raises.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_chunk_is_set_aside_and_computed_again(tmp_path, trained, caplog):
    swept(tmp_path, seeds=2, max_replicas=3)
    before, second = content(tmp_path), trained[1]
    path = tmp_path / "chunks" / f"{second.name(Study(SCENARIO, DATA, EPOCHS, Given()).identity)}.nc"
    aside = []
    for i, damage in enumerate(DAMAGE):
        damage(path)
        if path.exists():
            aside.append(path.read_bytes())
        if i % 2:
            damage(tmp_path / "results.nc")
        trained.clear()
        swept(tmp_path, seeds=2, max_replicas=3)
        assert trained == [second]
        assert content(tmp_path) == before
    found = sorted(p.read_bytes() for p in tmp_path.glob(f"damaged/{path.name}*"))
    assert found == sorted(aside)
    assert sum(message.startswith(str(path)) for message in caplog.messages) == len(aside)
    # The whole that was damaged, not the one that was removed.
    assert len(list(tmp_path.glob("damaged/results.nc.*"))) == 1
    assert sum(message.startswith(str(tmp_path / "results.nc")) for message in caplog.messages) == 1


def interrupted(path, monkeypatch, after):
    """A sweep of one chunk that is stopped after so many epochs."""
    save = Checkpoints.save

    def save_and_stop(self, epoch, tree):
        save(self, epoch, tree)
        if epoch == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            swept(path, seeds=1, epochs=5, max_replicas=3, checkpoint_every=1)


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    swept(path, seeds=1, epochs=5, max_replicas=3)
    return content(path)


@pytest.mark.long
@pytest.mark.parametrize(("damaged", "epochs"), [(0, 3), (1, 2), (2, None)])
def test_a_damaged_checkpoint_costs_epochs_and_nothing_else(tmp_path, monkeypatch, never_stopped, damaged, epochs):
    interrupted(tmp_path / "folder", monkeypatch, after=3)
    for checkpoint in sorted(tmp_path.glob("folder/checkpoints/*/*"), reverse=True)[:damaged]:
        largest = max((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        flip(largest, largest.stat().st_size // 2)
    log = tmp_path / "log"
    swept(tmp_path / "folder", seeds=1, epochs=5, max_replicas=3, log_json=log)
    assert content(tmp_path / "folder") == never_stopped
    assert [line["epochs"] for line in logged(log, "resumed")] == ([] if epochs is None else [epochs])
    assert [line["epoch"] for line in logged(log, "epoch")] == list(range((epochs or 0) + 1, 6))
    assert not list(tmp_path.glob("folder/checkpoints/*"))


@pytest.mark.long
def test_traces_of_a_process_that_was_killed_at_the_very_end_are_removed(tmp_path, monkeypatch, never_stopped):
    interrupted(tmp_path, monkeypatch, after=4)
    (left,) = tmp_path.glob("checkpoints/*")
    shutil.copytree(left, tmp_path / "kept")
    shutil.move(tmp_path / "kept", tmp_path.with_name("kept"))
    swept(tmp_path, seeds=1, epochs=5, max_replicas=3)
    shutil.copytree(tmp_path.with_name("kept"), left)
    (tmp_path / "chunks" / f".{left.name}.nc.begun").write_text("half")
    (tmp_path / "results.nc").unlink()
    (tmp_path / ".results.nc.begun").write_text("half")
    swept(tmp_path, seeds=1, epochs=5, max_replicas=3)
    assert content(tmp_path) == never_stopped
    assert not left.exists()
    assert not list((tmp_path / "chunks").glob(".*"))
    assert not (tmp_path / ".results.nc.begun").exists()


def test_a_chunk_that_another_holds_is_left_for_last(tmp_path, monkeypatch, trained):
    """The lock of the first chunk is held until the second is trained."""
    there = Folder(tmp_path, Study(SCENARIO, DATA, EPOCHS, Given()).identity)
    points = tuple(grid_of(OVER).points())
    first, second = Chunk(points, (0,)), Chunk(points, (1,))
    held = there.work_on(first)
    finish = Folder.finish

    def finish_and_let_go(self, chunk, found):
        finish(self, chunk, found)
        if chunk == second:
            held.__exit__(None, None, None)

    monkeypatch.setattr(Folder, "finish", finish_and_let_go)
    assert held.__enter__()
    swept(tmp_path, seeds=2, max_replicas=3)
    assert trained == [second, first]


def test_two_programs_that_plan_at_the_same_time_plan_once(tmp_path):
    identity = Study(SCENARIO, DATA, EPOCHS, Given()).identity
    there, chunk = Folder(tmp_path, identity), Chunk(({"poison.rate": float("inf")},), (0,))
    there.plan(lambda done, most: [chunk], 5)
    Folder(tmp_path, identity).plan(lambda done, most: [] if done == [chunk] and most == 5 else [chunk], 7)
    assert there.planned() == ([chunk], 5)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        OSError, match=says("folder is", str(tmp_path / "file"), "no folder can be made (it is a file)")
    ):
        swept(tmp_path / "file")
