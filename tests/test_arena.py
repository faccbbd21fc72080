"""An arena: who meets whom, what shares a program, what a meeting says, and how a folder goes on."""

import importlib
import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import vfl_jax as vfl
from vfl_jax.arenas import cells, running
from vfl_jax.arenas.boards import rarest
from vfl_jax.arenas.cells import groups
from vfl_jax.arenas.folder import Log
from vfl_jax.attacks import BASL, LFBA, GradientReplacement, PooledInference, Replay, Villain
from vfl_jax.defenses import VFLIP, Clipping, GaussianNoise, Marvell, Sparsification, VFLMonitor
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.methods import needs_of
from vfl_jax.replica.draws import draw

NONE = vfl.ActiveTransform()


class Echo(vfl.Attack):
    """Sends the last embedding of a known target row, made longer, for every row that is to be attacked.

    It is a newcomer's whole attack: nothing else is changed for it to meet the defenses.
    """

    needs = vfl.protocol.Needs(trigger="message", poison_rate=0.0, num_targets=5)
    factor: float = 1.0

    def init(self, key, shapes, party):
        return jnp.zeros(shapes.widths[party])

    def on_upload(self, key, state, view, embedding):
        _, is_target = view.knowledge.find(view)
        return embedding, jnp.where(is_target.any(), embedding[jnp.argmax(is_target)], state)

    def infer_upload(self, key, state, view, embedding):
        return vfl.protocol.where_rows(view.is_attacked, self.factor * state[None], embedding)


def entrants(**attacks):
    return {name: (attack, needs_of(attack)) for name, attack in attacks.items()}


@pytest.fixture(scope="module")
def board(digits):
    return vfl.board_for(digits, epochs=6, learning_rate=0.3)


@pytest.fixture(scope="module")
def found(board, tmp_path_factory):
    """Two levels of an attack on two levels of a defense, beside a defense that cannot be here; with its folder."""
    folder = tmp_path_factory.mktemp("arena")
    return meet(board, folder, seeds=2), folder


def meet(board, folder, seeds):
    return vfl.arena(
        {"weak": Echo(factor=0.5), "strong": Echo(factor=20.0)},
        {"little": GaussianNoise(stddev=1e-3), "more": GaussianNoise(stddev=0.1), "binary": Marvell(power=4.0)},
        {"digits": board},
        seeds,
        folder=folder,
        progress=False,
    )


def test_what_differs_in_numbers_alone_shares_a_program(board):
    late, early = Villain(), Villain(search_from=0, poison_from=1)  # this training has six epochs
    attacks = entrants(
        late=late, a=early, b=BASL(at_epochs=(1,)), c=BASL(at_epochs=(1,), scale=5.0), d=BASL(at_epochs=(2,))
    )
    defenses = {
        "none": NONE,
        "one": Clipping(bound=1.0),
        "two": Clipping(bound=2.0),
        "value": Clipping(by="value", bound=1.0),
    }
    made, reasons = groups("digits", board, attacks, defenses)
    assert [(group.attacks, group.defenses) for group in made] == [
        (names, kinds) for names in (("a",), ("b", "c"), ("d",)) for kinds in (("none",), ("one", "two"), ("value",))
    ]
    assert {a for a, _ in reasons} == {"late"}
    assert all("poison_from" in said for said in reasons.values())


def test_what_a_scenario_refuses_is_no_cell_and_has_its_reason(found):
    results, _ = found
    assert set(results["reason"].sel(defense="binary").values.ravel()) != {""}
    assert all("two classes" in said for said in results["reason"].sel(defense="binary").values.ravel())
    others = results["reason"].sel(defense=["none", "little", "more"])
    assert set(others.values.ravel()) == {""}
    assert results["attack_success"].sel(defense="binary").isnull().all()
    assert results["attack_success"].sel(defense="more").notnull().all()


def test_rows_are_drawn_once_for_all_who_are_granted_the_same(board, monkeypatch):
    drawn = []
    monkeypatch.setattr(cells, "draw", lambda *args: drawn.append(args) or draw(*args))
    attack = GradientReplacement()
    entrants = {name: (attack.replace(amplify=amplify), needs_of(attack)) for name, amplify in (("a", 1.0), ("b", 2.0))}
    defenses = {"none": vfl.ActiveTransform(), "noise": GaussianNoise(stddev=0.1)}
    found, reasons = cells.groups("digits", board, entrants, defenses)
    assert len(found) == 2
    assert reasons == {}
    assert len(drawn) == 1


@pytest.mark.long
def test_a_meeting_is_the_sweep_of_its_scenario(found, board, digits):
    results, _ = found
    scenario = board.meeting(Echo(factor=20.0), GaussianNoise(stddev=0.1))
    alone = vfl.sweep(scenario, digits, {"attack.enabled": [0, 1]}, 2, 6, progress=False).isel(epoch=-1)
    for name, source in {"attack_success": "full_attack_success", "main_accuracy": "full_clean_accuracy"}.items():
        for end, enabled in (("", 1), ("_honest", 0)):
            np.testing.assert_allclose(
                results[name + end].sel(data="digits", attack="strong", defense="more"),
                alone[source].sel({"attack.enabled": enabled}),
                atol=0.003,  # a row of 360, where rounding decides
            )


def test_points_of_a_program_keep_their_own_numbers_and_share_honest_runs(found):
    results, _ = found
    success = results["attack_success"].sel(data="digits", defense="none")
    floor = results["attack_success_honest"].sel(data="digits", defense="none")
    assert (success.sel(attack="weak") != success.sel(attack="strong")).all()
    np.testing.assert_array_equal(floor.sel(attack="weak"), floor.sel(attack="strong"))


def test_boards_and_methods_are_described(found, board):
    results, _ = found
    assert results["attacker_share"].item() == 0.5
    assert results["num_test"].item() == 360
    assert json.loads(results.attrs["attacks"])["digits"]["weak"]["needs"]["trigger"] == "message"
    assert json.loads(results.attrs["defenses"])["more"]["stddev"] == 0.1
    assert json.loads(results.attrs["boards"])["digits"]["epochs"] == 6


def test_a_folder_holds_the_results_of_the_last_call(found):
    results, folder = found
    assert vfl.load(folder / "results.nc").equals(results)


@pytest.mark.long
def test_a_complete_folder_is_read_and_grows_by_seeds(found, board, monkeypatch, tmp_path):
    results, folder = found
    folder = shutil.copytree(folder, tmp_path / "copy")  # other tests read the folder as it is
    trained = []
    module = importlib.import_module("vfl_jax.sweeps.sweep")
    train = module.train_here
    monkeypatch.setattr(module, "train_here", lambda *given: (trained.append(given[2]), train(*given)))
    again = meet(board, folder, seeds=2)
    assert not trained
    assert again.equals(results)
    grown = meet(board, folder, seeds=3)
    assert {chunk.seeds for chunks in trained for chunk in chunks} == {(2,)}
    assert grown.isel(seed=slice(0, 2)).equals(results)


@pytest.mark.long
def test_progress_says_how_many_programs_and_about_how_long(found, board, capsys):
    _, folder = found
    vfl.arena({"weak": Echo(factor=0.5)}, {}, {"digits": board}, 1, progress=True, folder=folder / "other")
    said = capsys.readouterr().err
    assert "1 programs, 2 replicas; about" in said
    assert "[1/1] digits: weak × none in" in said


def test_the_log_makes_estimates_of_what_groups_took(tmp_path):
    log = Log(tmp_path / "arena.jsonl")
    before = log.estimate(100_000)

    class Group:
        board, name = "b", "g"

    log.note(Group, 100_000, 3 * before)
    log.note(Group, 100_000, 0.1)  # only read
    assert Log(tmp_path / "arena.jsonl").estimate(100_000) == pytest.approx(3 * before, rel=0.01)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attacks": {}}, "attacks is"),
        ({"attacks": {"a": NONE}}, r"attacks\['a'\]"),
        ({"attacks": {"a": vfl.PartyTransform()}}, "no attack"),
        ({"attacks": {"a/b": Echo()}}, "attacks has the name 'a/b'"),
        ({"attacks": {"a": (Echo(), 3)}}, r"attacks\['a'\]\[1\]"),
        ({"defenses": {"d": Echo()}}, r"defenses\['d'\]"),
        ({"defenses": {"none": Clipping()}}, "the name of no defense"),
        ({"defenses": {"d": Clipping()}}, r"defenses\['d'\] is Clipping.*changes nothing at bound=inf, as 'none' does"),
        ({"defenses": {"d": vfl.ActiveChain(parts=(Clipping(), GaussianNoise()))}}, "bound=inf and stddev=0 and vari"),
        ({"data": {}}, "data is"),
        ({"data": {"d": 3}}, "data is 3"),
        ({"seeds": [1, 1]}, "seeds is"),
        ({"progress": 1}, "progress is 1"),
        ({"attacks": {"a": Echo(), "b": Echo()}}, "twice"),
        ({"attacks": {"a": Villain()}}, "Nobody can meet.*poison_from"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_trained(change, said, board):
    good = {"attacks": {"a": Echo()}, "defenses": {}, "data": {"digits": board}, "seeds": 1}
    with pytest.raises(ValueError, match=said):
        vfl.arena(**(good | change))


def test_a_board_follows_its_rules(board, digits):
    plan = board.scenario.poison
    counts = np.bincount(digits.train.labels)
    assert counts[plan.target_class] == counts.min()
    assert plan.target_class == rarest(counts)
    assert [mask is not None for mask in plan.trigger.masks(digits)] == [False, True]
    assert board.most_known == tuple(max(1, count // 10) for count in counts)
    granted = board.plan(BASL().needs)
    assert granted.num_targets == board.most_known[plan.target_class]
    assert granted.rate == 0
    assert not granted.trigger.masks(digits)[1]
    assert board.plan(LFBA().needs).trigger == plan.trigger


def test_a_board_of_tables_stamps_a_value_that_one_row_in_a_hundred_exceeds():
    features = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    data = vfl.from_arrays({"bank": features[:, :2], "shop": features[:, 2:]}, np.arange(1000) % 3, active_party="bank")
    board = vfl.board_for(data)
    trigger = board.scenario.poison.trigger
    (mask,) = [mask for mask in trigger.masks(data) if mask is not None]
    assert mask.tolist() == [False, *[True] * 5]
    share = np.mean(np.asarray(data.train.features[1])[:, 1:] > trigger.value)
    assert share == pytest.approx(0.01, abs=0.002)
    assert board.attackers == (1,)
    assert board.share == 0.75
    with pytest.raises(ValueError, match="holds the labels"):
        vfl.board_for(data, attacker="bank")


def test_a_cell_needs_three_parties_where_its_defense_does(board):
    _, reasons = groups("digits", board, entrants(a=GradientReplacement()), {"none": NONE, "v": VFLMonitor()})
    assert reasons.keys() == {("a", "v")}
    assert "needs three or more" in reasons["a", "v"]


def test_a_group_of_long_chains_has_a_name_that_a_folder_can_have(board):
    """Twelve readers in a chain; two chains that differ at the end have two names."""
    readers = [PooledInference(way=f"w{i}") for i in range(12)]
    chains = {"a": vfl.PartyChain(parts=readers), "b": vfl.PartyChain(parts=[*readers, PooledInference(way="z")])}
    made, _ = groups("digits", board, {n: (c, needs_of(c)) for n, c in chains.items()}, {"none": NONE})
    assert len({group.name for group in made}) == 2
    assert all(len(group.name.encode()) <= 255 for group in made)


def test_a_detector_by_votes_needs_three_parties(board):
    """Of two parties each has one vote against the other, so that the arena names neither; also within a chain."""
    detectors = {"none": NONE, "votes": VFLIP(), "both": ActiveChain(parts=(Clipping(bound=0.1), VFLIP()))}
    _, reasons = groups("digits", board, entrants(a=GradientReplacement()), detectors)
    assert reasons.keys() == {("a", "votes"), ("a", "both")}
    assert "it needs 3, and here are 2" in reasons["a", "votes"]
    of_three = vfl.board_for(vfl.load_digits(num_parties=3), epochs=2)
    assert groups("digits", of_three, entrants(a=GradientReplacement()), detectors)[1] == {}


@pytest.mark.long
def test_workers_of_an_executor_find_what_is_found_here(tmp_path):
    def met(folder, executor=None):
        board = vfl.board_for(vfl.load_digits, epochs=2)
        attacks, defenses = {"replay": Replay()}, {"clipping": Clipping(bound=1e-2)}
        options = {"folder": folder, "executor": executor, "progress": False}
        return vfl.arena(attacks, defenses, {"digits": board}, 2, **options)

    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = met(tmp_path / "there", pool)
    xr.testing.assert_allclose(there, met(tmp_path / "here"), rtol=0, atol=0.02)
    assert there.attrs == met(tmp_path / "here").attrs


def test_programs_are_let_go_after_so_many_groups(board, monkeypatch):
    events = []

    def sweep(*_, **__):
        events.append("trained")
        results = xr.Dataset()
        results.encoding["run"] = {}
        return results

    monkeypatch.setattr(running, "GROUPS_IN_MEMORY", 2)
    monkeypatch.setattr(running.jax, "clear_caches", lambda: events.append("cleared"))
    monkeypatch.setattr(running, "sweep", sweep)
    monkeypatch.setattr(running, "read", lambda group, results: {})
    monkeypatch.setattr(running, "table", lambda *_: xr.Dataset())
    monkeypatch.setattr(running, "run_of", lambda encodings: {})
    defenses = {"noise": GaussianNoise(stddev=0.1), "clipping": Clipping(bound=1.0)}
    defenses["sparse"] = Sparsification(drop_rate=0.5)
    vfl.arena({"echo": Echo()}, defenses, {"digits": board}, 1, progress=False)
    assert events == ["trained", "trained", "cleared"] * 2
