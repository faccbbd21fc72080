"""The attacker who knows the head: his search on models whose best message is known, the quick study, and the page."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import experiments.known_head.__main__ as command
import vfl_jax as vfl
from experiments.known_head import report
from experiments.known_head.cases import SendsOneMessage
from experiments.known_head.search import own_messages, search, starts_for
from experiments.known_head.trial import of_defense
from experiments.shared import readme
from vfl_jax.arenas import board_for
from vfl_jax.core.files import load
from vfl_jax.models import Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.replica import init, prepare

FOLDER = report.README.with_name("results")


@pytest.fixture(scope="module")
def data():
    rows = np.random.default_rng(3).normal(size=(200, 4)).astype(np.float32)
    return vfl.from_arrays({"ours": rows[:, :2], "theirs": rows[:, 2:]}, np.arange(200) % 3)


def made(data, defense=None, **fields):
    """Under a sum head the logits are the sum of messages, so that the best message of a length is known by hand."""
    scenario = vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), SendsOneMessage()),
        poison=vfl.PoisonPlan(trigger=EmbeddingTrigger(), target_class=2, rate=0.0, test_rate=0.5),
        batches=vfl.BatchPlan(size=8),
        **fields,
    )
    replica = prepare(scenario if defense is None else scenario.replace(defense=defense), data, jax.random.key(0))
    return replica, init(replica)


def can_say_target(logits, size):
    """Whether some m with ‖m‖ ≤ size raises logit 2 of the other party above both others."""
    angles = np.linspace(0, 2 * np.pi, 400)
    around = np.stack([np.cos(angles), np.sin(angles)])  # along (1, 1, 1) a message changes nothing
    basis = np.array([[-1, -1, 2], [1, -1, 0]]) / np.sqrt([[6], [2]])
    moved = logits + size * (around.T @ basis)
    return (moved[:, 2] > moved[:, :2].max(axis=1)).any()


def searched(replica, state, data, size):
    """What the search finds on rows that are both seen and tested, and the honest messages of the two parties."""
    others = np.flatnonzero(np.asarray(data.test.labels) != 2)
    features = jax.tree.map(lambda leaf: leaf[others], data.test.features)
    ours, theirs = (np.asarray(own_messages(replica, state, features[k], k)) for k in (0, 1))
    starts = starts_for(theirs, np.arange(len(theirs)) < 2, size)
    assert np.linalg.norm(starts, axis=1) == pytest.approx(np.full(len(starts), size), rel=1e-5)
    return search(replica, state, 1, features, features, starts, jnp.float32(size)), ours


@pytest.mark.parametrize("size", [0.05, 0.6, 50.0])
def test_the_search_finds_what_can_be_found(data, size):
    """A row says τ exactly where a message of this length can raise τ above the other two logits of the other party."""
    found, ours = searched(*made(data), data, size)
    assert float(found.each) == pytest.approx(np.mean([can_say_target(row, size) for row in ours]), abs=1.5 / len(ours))
    assert float(found.one) == pytest.approx(float(found.seen))
    assert np.linalg.norm(found.message) <= size * 1.0001
    assert size < 50 or float(found.one) == 1.0


@pytest.mark.parametrize("size", [0.05, 50.0])
def test_a_message_has_the_length_that_the_defense_gives_it(data, size):
    """Whatever is sent arrives at length 0.6, and the other party's messages do, too."""
    defense = vfl.defenses.EmbeddingNormalisation(length=0.6)
    found, ours = searched(*made(data, defense), data, size)
    arrive = 0.6 * ours / np.linalg.norm(ours, axis=1, keepdims=True)
    expected = np.mean([can_say_target(row, 0.6) for row in arrive])
    assert float(found.each) == pytest.approx(expected, abs=1.5 / len(ours))


class DrawsASign(vfl.ActiveTransform):
    """Turns messages of the second party round in half of all draws: whoever does not know them cannot win surely."""

    def infer_receive(self, key, state, view, embeddings):
        turned = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        return embeddings[0], turned * embeddings[1]


def test_the_attacker_does_not_know_what_a_defense_draws(data):
    found, _ = searched(*made(data, DrawsASign()), data, 50.0)
    assert 0.2 < float(found.one) < 0.8
    assert 0.2 < float(found.each) < 0.8


def test_longer_messages_reach_what_shorter_ones_do():
    found = of_defense(board_for(vfl.load_digits(), epochs=1), "none", 1)
    assert dict(found.sizes) == {"defense": 1, "size": 2, "seed": 1}
    for kind in ("one", "each", "seen"):
        assert bool((found[kind] >= 0).all())
    assert bool((found["seen"].sel(size="hundredfold") >= found["seen"].sel(size="honest") - 1e-6).all())


def test_results_of_other_settings_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "BOARDS", {"mnist": lambda: board_for(vfl.load_digits(), epochs=1)})
    monkeypatch.setattr(command, "CHOSEN", ("none",))
    given = command.Arguments(only=("mnist",), seeds=1)
    command.train(given, tmp_path)
    first = load(tmp_path / "mnist.nc")
    monkeypatch.setattr(command, "CHOSEN", ("none", "EmbeddingClipping"))
    command.train(given, tmp_path)
    both = load(tmp_path / "mnist.nc")
    assert both["defense"].values.tolist() == ["none", "EmbeddingClipping"]
    assert both.sel(defense=["none"]).equals(first)
    with pytest.raises(ValueError, match="other settings"):
        command.train(dataclasses.replace(given, seeds=2), tmp_path)


def test_a_diverged_training_is_no_protection():
    cells = {
        "one": [[[0.9]], [[np.nan]]],
        "each": [[[0.9]], [[np.nan]]],
        "honest": [[[0.0]]] * 2,
        "main": [[[0.9]]] * 2,
    }
    results = xr.Dataset(
        {name: (("defense", "size", "seed"), value) for name, value in cells.items()} | {"majority": 0.5},
        {"defense": ["none", "wall"], "size": ["honest"], "seed": [0]},
    )
    assert [report.is_spared(results, name) for name in ("none", "wall")] == [True, False]
    ruined = results.fillna(0.0)
    assert report.is_spared(ruined, "wall")
    ruined["main"].loc[{"defense": "wall"}] = 0.69
    assert not report.is_spared(ruined, "wall")


@pytest.mark.long
def test_the_quick_study(tmp_path, capsys):
    command.main(["--quick", "--out", str(tmp_path)])
    results = load(tmp_path / "digits.nc")
    assert results["defense"].values.tolist() == ["none", "EmbeddingNormalisation"]
    assert "digits: none" in capsys.readouterr().out
    assert "| digits | none |" in (tmp_path / "tables.md").read_text()


def test_bad_names_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="only names 'letters'"):
        command.main(["--only", "letters", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="no results"):
        command.main(["--report-only", "--out", str(tmp_path)])


def test_the_page_has_the_table_of_the_saved_results(monkeypatch):
    written = {}
    monkeypatch.setattr(report, "write_tables", lambda page, folder, text, answer: written.update({text: answer}))
    monkeypatch.setattr(
        report, "add_picture", lambda folder, name, figure, caption: f"![{caption}](results/{name}.png)\n"
    )
    report.write_report(FOLDER)
    ((text, answer),) = written.items()
    page = report.README.read_text()
    assert text.strip() in page
    assert answer.strip() in page
    assert readme.BEGIN in page
