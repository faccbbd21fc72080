"""The attacker who knows the head: his search on models whose best message is known, the quick study, and the page."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vfl_jax as vfl
from experiments.known_head import report
from experiments.known_head.__main__ import main
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
from vfl_jax.replica import init, predict, prepare

FOLDER = report.README.with_name("results")


@pytest.fixture(scope="module")
def data():
    rows = np.random.default_rng(3).normal(size=(200, 4)).astype(np.float32)
    return vfl.from_arrays({"ours": rows[:, :2], "theirs": rows[:, 2:]}, np.arange(200) % 3)


@pytest.fixture(scope="module")
def replica(data):
    """Under a sum head the logits are the sum of messages, so that the best message of length r is known by hand."""
    scenario = vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), SendsOneMessage()),
        poison=vfl.PoisonPlan(trigger=EmbeddingTrigger(), target_class=2, rate=0.0, test_rate=0.5),
        batches=vfl.BatchPlan(size=8),
    )
    made = prepare(scenario, data, jax.random.key(0))
    return made, init(made)


@pytest.mark.parametrize("size", [0.05, 0.6, 50.0])
def test_the_search_finds_what_can_be_found(data, replica, size):
    """A row says τ exactly where a message of this length can raise τ above the other two logits of the other party."""
    made, state = replica
    others = np.flatnonzero(np.asarray(data.test.labels) != 2)
    features = jax.tree.map(lambda leaf: leaf[others], data.test.features)
    own = np.asarray(own_messages(made, state, features[0], 0))

    def can(logits):
        """Whether some m with ‖m‖ ≤ size has logits[2] + m[2] above both others."""
        grid = np.linspace(0, 2 * np.pi, 400)
        around = np.stack([np.cos(grid), np.sin(grid)])  # directions orthogonal to (1, 1, 1) are all that matters
        basis = np.array([[-1, -1, 2], [1, -1, 0]]) / np.sqrt([[6], [2]])
        moved = logits + size * (around.T @ basis)
        return (moved[:, 2] > moved[:, :2].max(axis=1)).any()

    messages = np.asarray(own_messages(made, state, features[1], 1))
    starts = starts_for(messages, np.arange(len(messages)) < 2, size)
    assert np.linalg.norm(starts, axis=1) == pytest.approx(np.full(len(starts), size), rel=1e-5)
    found = search(made, state, 1, features, features, starts, jnp.float32(size))
    expected = np.mean([can(row) for row in own])
    assert float(found.each) == pytest.approx(expected, abs=1.5 / len(others))
    assert float(found.one) <= float(found.each)
    honest = float((np.asarray(predict(made, state, features, jax.random.key(7))).argmax(axis=1) == 2).mean())
    assert size < 50 or float(found.one) == 1.0 >= honest


def test_a_board_has_numbers_of_both_sizes():
    found = of_defense(board_for(vfl.load_digits(), epochs=1), "none", 1)
    assert dict(found.sizes) == {"defense": 1, "size": 2, "seed": 1}
    assert bool((found["each"] >= 0).all())
    assert bool((found["one"].sel(size="any") >= found["honest"].min()).all())


@pytest.mark.long
def test_the_quick_study_and_that_it_goes_on(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    results = load(tmp_path / "digits.nc")
    assert results["defense"].values.tolist() == ["none", "EmbeddingNormalisation"]
    assert "digits: none" in capsys.readouterr().out
    main(["--quick", "--out", str(tmp_path)])
    assert "digits" not in capsys.readouterr().out
    assert "| digits | none |" in (tmp_path / "tables.md").read_text()


def test_bad_names_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="only names 'letters'"):
        main(["--only", "letters", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="no results"):
        main(["--report-only", "--out", str(tmp_path)])


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
