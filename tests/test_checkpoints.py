"""Checkpoints: bit for bit what was saved, never a damaged one, and at any moment a whole one on disk."""

import logging
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.sweeps.store import checkpoints
from vfl_jax.sweeps.store.checkpoints import Checkpoints

NAN_WITH_PAYLOAD = np.array([0x7FC12345, 0xFFC00001, 0x7F812345], np.uint32).view(np.float32)


@flax.struct.dataclass
class State:
    params: tuple
    opt_state: object
    nothing: tuple = ()


class Moments(NamedTuple):
    count: np.int32
    mean: dict


def odd_tree(epoch):
    """Every kind of leaf that a state may have, a history as long as the epoch, and structure without leaves."""
    key = jax.random.key(epoch)
    params = (
        {"kernel": np.full((3, 4), epoch, np.float32), "b/i.a's": np.array([-0.0, 0.0, np.inf, -np.inf], np.float32)},
        {"nan": NAN_WITH_PAYLOAD, "half": jnp.full((2, 2), 1.5, jnp.bfloat16), "strided": np.arange(12.0)[::3]},
        None,
    )
    moments = Moments(
        np.int32(epoch), {"scalar": np.array(epoch / 3), "empty": np.zeros((0, 3), np.float32), "none": {}}
    )
    keys = {
        "one": key,
        "many": jax.random.split(jax.random.clone(key), (2, 3)),
        "rbg": jax.random.key(epoch, impl="rbg"),
    }
    flags = {"flag": np.bool_(True), "flags": jnp.array([True, False]), "zero": jnp.int32(0)}
    history = {"loss": np.linspace(0, 1, 2 * epoch, dtype=np.float32).reshape(epoch, 2)}
    return {"state": State(params, (moments, keys, flags)), "history": history}


def small_tree(epoch):
    return {"weights": np.full((40, 50), epoch, np.float32), "history": np.arange(epoch), "step": np.int32(epoch)}


def abstract(tree):
    return lambda epoch: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree(epoch))


def as_bytes(tree):
    """(dtype, shape, bytes) of every leaf."""
    leaves = jax.tree.leaves(tree)
    numbers = [
        jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf for leaf in leaves
    ]
    return [(leaf.dtype, leaf.shape, np.asarray(n).tobytes()) for leaf, n in zip(leaves, numbers, strict=True)]


def assert_restored(found, epoch, tree=small_tree):
    assert found is not None
    assert found[0] == epoch
    assert jax.tree.structure(found[1]) == jax.tree.structure(tree(epoch))
    assert as_bytes(found[1]) == as_bytes(tree(epoch))


def epochs(path):
    """The epochs of the checkpoints in a folder, and nothing else is in it."""
    return sorted(int(folder.name.split("-")[0]) for folder in path.iterdir())


def run_script(script, *arguments):
    script = textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def two(tmp_path):
    """Checkpoints of epochs 2 and 4, the newest of which tests damage."""
    saved = Checkpoints(tmp_path / "two")
    for epoch in (2, 4):
        saved.save(epoch, small_tree(epoch))
    return saved


@pytest.fixture
def newest(two):
    return max(two.path.iterdir())


def test_every_leaf_comes_back_bit_for_bit(tmp_path):
    saved = Checkpoints(tmp_path / "a" / "folder")
    saved.save(3, odd_tree(3))
    found = saved.restore(abstract(odd_tree))
    assert_restored(found, 3, odd_tree)
    assert_restored(saved.restore(odd_tree), 3, odd_tree)
    keys = found[1]["state"].opt_state[1]
    assert jax.random.key_impl(keys["rbg"]) == jax.random.key_impl(jax.random.key(0, impl="rbg"))
    assert all(
        isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves((found[1]["history"], found[1]["state"].params))
    )


def test_saving_uses_no_key_up(tmp_path):
    key = jax.random.key(0)
    Checkpoints(tmp_path).save(1, {"key": key})
    jax.random.normal(key)


def test_the_newest_is_restored_and_two_are_kept(tmp_path):
    saved = Checkpoints(tmp_path)
    for epoch in (np.int32(9), 10, np.int64(11)):
        saved.save(epoch, small_tree(epoch))
    assert epochs(tmp_path) == [10, 11]
    assert_restored(Checkpoints(tmp_path).restore(abstract(small_tree)), 11)


def test_a_checkpoint_replaces_those_of_its_own_epoch_and_of_later_ones(two, newest, caplog):
    (newest / "manifest.ocdbt").unlink()
    two.save(4, small_tree(4))
    assert epochs(two.path) == [2, 4]
    assert_restored(two.restore(abstract(small_tree)), 4)
    two.save(3, small_tree(3))
    assert epochs(two.path) == [2, 3]
    assert_restored(two.restore(abstract(small_tree)), 3)
    assert not caplog.messages


def test_without_checkpoints_there_is_nothing_to_restore(tmp_path):
    assert Checkpoints(tmp_path).restore(small_tree) is None
    assert Checkpoints(tmp_path / "missing").restore(small_tree) is None


def test_clear_removes_the_folder(two):
    two.clear()
    assert not two.path.exists()
    two.clear()


def test_damage_of_any_file_leads_to_the_older_one(two, newest, caplog):
    files = [path for path in newest.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        whole = path.read_bytes()
        for place in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            assert_restored(two.restore(abstract(small_tree)), 2)
        path.write_bytes(whole[: len(whole) // 2])
        assert_restored(two.restore(abstract(small_tree)), 2)
        path.unlink()
        assert_restored(two.restore(abstract(small_tree)), 2)
        path.write_bytes(whole)
    assert_restored(two.restore(abstract(small_tree)), 4)
    assert len(set(caplog.messages)) == 1
    assert f"{newest} is passed over (its files are not as they were written); 00000002-" in caplog.messages[0]


def test_none_is_restored_where_all_are_damaged(two, caplog):
    for path in two.path.rglob("manifest.ocdbt"):
        path.write_bytes(b"")
    assert two.restore(small_tree) is None
    assert caplog.messages[1].endswith("there is no older one.")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_numbers_that_are_not_those_saved_are_noticed(tmp_path, monkeypatch, caplog):
    saved = Checkpoints(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "_digest", lambda owner, epoch, arrays: np.zeros(32, np.uint8))
        saved.save(1, small_tree(1))
    assert saved.restore(small_tree) is None
    saved.clear()
    saved.save(1, small_tree(1))
    folder = next(tmp_path.iterdir())
    folder.rename(tmp_path / folder.name.replace("00000001", "00000002"))
    assert saved.restore(lambda epoch: small_tree(1)) is None
    assert ["its numbers are not those that were saved" in message for message in caplog.messages] == [True, True]


@pytest.mark.parametrize(
    "changed",
    [
        {"step": np.float32(4)},
        {"step": np.array([4], np.int32)},
        {"weights": np.zeros((50, 40), np.float32)},
        {"weights": np.zeros((40, 50), np.int32)},
        {"weights": {"weights": np.zeros((40, 50), np.float32)}},
        {"history": np.arange(5)},
        {"more": np.zeros((0, 3))},
        {"step": jax.ShapeDtypeStruct((), jax.random.key(0).dtype)},
    ],
    ids=lambda changed: (
        f"{jax.tree.leaves(changed)[0].dtype}-{jax.tree.leaves(changed)[0].shape}-{next(iter(changed))}"
    ),
)
def test_a_checkpoint_of_another_tree_is_passed_over(two, changed, caplog):
    assert_restored(two.restore(lambda epoch: small_tree(epoch) | (changed if epoch == 4 else {})), 2)
    assert next(iter(changed)) in caplog.messages[0]
    assert "00000002" in caplog.messages[0]


def test_a_key_is_not_restored_as_numbers(tmp_path, caplog):
    Checkpoints(tmp_path).save(1, {"key": jax.random.key(0)})
    assert Checkpoints(tmp_path).restore(lambda epoch: {"key": np.zeros(2, np.uint32)}) is None
    assert "tree['key']: key<fry>[] is not expected" in caplog.messages[0]


def test_what_was_left_unfinished_is_ignored_and_removed(two):
    for name in ("unfinished", "unfinished.orbax-checkpoint-tmp"):
        (two.path / name / "d").mkdir(parents=True)
    assert_restored(two.restore(small_tree), 4)
    two.save(5, small_tree(5))
    assert epochs(two.path) == [4, 5]


@pytest.mark.long
def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path):
    # Forked before JAX starts any thread, so that many are killed for one import.
    script = """
        import os, signal, sys, time
        import numpy as np, orbax.checkpoint
        from pathlib import Path
        from vfl_jax.sweeps.store.checkpoints import Checkpoints

        def tree(epoch):
            return {"weights": np.full((1000, 250), epoch, np.float32), "history": np.arange(epoch)}

        def train():
            saved = Checkpoints(sys.argv[1])
            epoch, found = saved.restore(tree) or (0, tree(0))
            assert (found["weights"] == epoch).all() and (found["history"] == np.arange(epoch)).all()
            assert epoch >= int(os.environ["DONE"])
            while True:
                epoch += 1
                saved.save(epoch, tree(epoch))
                Path(sys.argv[2]).write_text(str(epoch))

        done = Path(sys.argv[2])
        for milliseconds in range(0, 40, 4):
            os.environ["DONE"] = before = done.read_text() if done.exists() else "0"
            child = os.fork()
            if not child:
                train()
            while not done.exists() or done.read_text() in ("", before):
                time.sleep(0.001)
                assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended by itself"
            time.sleep(milliseconds / 1000)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    """
    path, done = tmp_path / "killed", tmp_path / "done"
    ended = run_script(script, path, done)
    assert ended.returncode == 0, ended.stderr

    def tree(epoch):
        return {"weights": np.full((1000, 250), epoch, np.float32), "history": np.arange(epoch)}

    epoch, found = Checkpoints(path).restore(tree)
    assert epoch >= int(done.read_text() or 10)
    assert as_bytes(found) == as_bytes(tree(epoch))


@pytest.mark.parametrize("step", ["flush", "_fingerprint", "rename", "rmtree"])
def test_a_save_cut_short_at_any_step_leaves_the_earlier_one(two, monkeypatch, step):
    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    owner = {"rename": Path, "rmtree": checkpoints.shutil}.get(step, checkpoints)
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, kill)
        with pytest.raises(Killed):
            two.save(5, small_tree(5))
    # Only the removal of older ones comes after the new one counts.
    assert_restored(two.restore(small_tree), 5 if step == "rmtree" else 4)
    two.save(6, small_tree(6))
    assert epochs(two.path) == ([5, 6] if step == "rmtree" else [4, 6])


def test_a_full_disk_is_one_clear_error(two):
    script = """
        import resource, sys
        import numpy as np
        from vfl_jax.sweeps.store.checkpoints import Checkpoints

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        numbers = np.random.default_rng(0).normal(size=100_000)
        try:
            Checkpoints(sys.argv[1]).save(5, {"weights": numbers})
        except OSError as error:
            print(error)
    """
    ended = run_script(script, two.path)
    assert ended.stdout == f"No checkpoint could be written in {two.path} (File too large).\n", ended.stderr
    assert epochs(two.path) == [2, 4]
    assert_restored(two.restore(small_tree), 4)


def test_a_folder_that_cannot_be_written_is_one_clear_error():
    # Root may write everywhere, so the process becomes nobody, once it has imported what only root may read.
    script = """
        import os, sys
        import numpy as np
        from vfl_jax.sweeps.store.checkpoints import Checkpoints

        assert not any(name.startswith("orbax") for name in sys.modules), "imported before it is needed"
        saved = Checkpoints(sys.argv[1])
        for epoch in (2, 4):
            saved.save(epoch, {"x": np.full(3, epoch)})
        os.chmod(saved.path, 0o555)
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            saved.save(5, {"x": np.full(3, 5)})
        except OSError as error:
            print(error)
        print(saved.restore(lambda epoch: {"x": np.full(3, epoch)}))
    """
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "checkpoints")
        ended = run_script(script, path)
        first, second = ended.stdout.splitlines()
        assert first.startswith(f"No checkpoint could be written in {path} ([Errno 13] Permission denied: ")
        assert second == "(4, {'x': array([4, 4, 4])})"
        assert ended.stderr == ""
        assert epochs(path) == [2, 4]
        path.chmod(0o755)
