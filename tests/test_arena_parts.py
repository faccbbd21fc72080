"""An arena's results after selections and joins, damaged companions of its folder, and folders of others."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from data_helpers import says, tiny_data

import vfl_jax as vfl
from vfl_jax.arenas.cells import Group
from vfl_jax.arenas.folder import Log
from vfl_jax.arenas.form import in_form
from vfl_jax.arenas.leaderboard import refusal_rows
from vfl_jax.arenas.standings import rank_attacks, rank_defenses
from vfl_jax.reports.readings import read

ARENA = Path(__file__).parents[1] / "experiments" / "arena" / "results" / "handwritten.nc"


@pytest.fixture(scope="module")
def arena():
    whole = vfl.load(ARENA)
    return whole.isel(attack=slice(0, 3), defense=slice(0, 4))


def tables(results):
    return read(results, "arena").tables


def test_joined_seeds_are_reported_as_one_arena(arena):
    parts = [arena.isel(seed=slice(0, 2)), arena.isel(seed=slice(2, None))]
    joined = xr.concat(parts, "seed", data_vars="all")
    assert "seed" in joined["reason"].dims
    assert tables(joined) == tables(arena)


def test_joined_attacks_keep_the_reasons_of_each(arena):
    first, second = arena.isel(attack=[0]), arena.isel(attack=[1, 2])
    assert tables(xr.concat([first, second], "attack", data_vars="all")) == tables(arena)
    outer = in_form(xr.merge([first, arena.isel(attack=[1]).isel(defense=[0])], join="outer", compat="no_conflicts"))
    assert all(row["why"] for row in refusal_rows(outer))
    assert outer["reason"].dtype.kind == "U"


@pytest.mark.parametrize("dim", ["data", "seed", "attack"])
def test_a_selected_place_is_reported(arena, dim):
    assert tables(arena.isel({dim: 0})) == tables(arena.isel({dim: [0]}))


def other_boards(arena):
    changed = arena.assign(num_test=arena["num_test"] + 1, seed=arena["seed"] + 100)
    return xr.concat([arena, changed], "seed", data_vars="all")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.isel(defense=slice(1, None)), ("has no defense 'none'", "keep it in the selection")),
        (lambda a: a.isel(defense=0, drop=True), ("has no 'defense'", "drop=True")),
        (lambda a: a.isel(seed=[]), ("has no seed",)),
        (vfl.attacked, ("has no attack_success_honest", "attacked and honest runs together")),
        (vfl.honest, ("has no attack_success_honest", "attacked and honest runs together")),
        (lambda a: a.assign_attrs(boards="{"), (".attrs['boards'] is not as vfl.arena wrote it",)),
        (lambda a: a.assign_attrs(attacks="[1]"), (".attrs['attacks'] is not as",)),
        (other_boards, ("has several num_test along 'seed'", "different arenas")),
    ],
)
def test_what_is_lacking_is_named(arena, change, words):
    with pytest.raises(ValueError, match=says("results", *words)):
        in_form(change(arena))


def test_nobody_has_a_rank_by_numbers_that_are_none(arena):
    first = str(arena["attack"].values[0])
    nothing = arena.assign(attack_success=arena["attack_success"] * np.nan)
    assert all(place.rank is None for place in (*rank_attacks(nothing), *rank_defenses(nothing)))
    reading = read(nothing, "nothing")
    assert reading.answer == ["Not enough to say: too few meetings can be judged to rank anybody."]
    assert len(reading.figures) == 1  # no costs of defenses without a rank
    assert first in {row["attack"] for row in reading.tables["The attacks, the strongest first"]}


def test_a_damaged_log_of_times_is_no_reason_to_stop(tmp_path):
    whole = {"board": "b", "group": "g", "steps": 10, "seconds": 2.0}
    broken = [{**whole, "steps": "10"}, {**whole, "seconds": float("nan")}, {"board": "b"}, [1], "x", None]
    lines = [json.dumps(entry) for entry in (whole, *broken)] + ["{", "[" * 100_000, '{"board"}']
    (tmp_path / "arena.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\xfe}\n")
    assert Log(tmp_path / "arena.jsonl").entries == [whole]
    (tmp_path / "folder").mkdir()
    log = Log(tmp_path / "folder")
    group = Group("b", ("a",), ("none",), vfl.board_for(tiny_data()).meeting(*pair()), {})
    log.note(group, 10, 2.0)  # where nothing can be written, memory keeps it
    assert log.entries[0]["seconds"] == 2.0


def pair():
    return vfl.attacks.GradientReplacement(), vfl.ActiveTransform()


def meet(folder, **names):
    """An arena that is refused before anything is trained."""
    data = {name: tiny_data() for name in names.get("data", ["tiny"])}
    return vfl.arena({"a": pair()[0]}, {}, data, seeds=1, folder=folder, progress=False)


def test_an_arena_replaces_no_results_of_others(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match=says("folder is", "sweep", "that of a sweep")):
        meet(tmp_path / "sweep")
    vfl.save(xr.Dataset({"mine": ("x", [1.0])}), tmp_path / "mine" / "results.nc")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "results.nc").write_text("notes")
    for name in ("mine", "odd"):
        before = (tmp_path / name / "results.nc").read_bytes()
        with pytest.raises(ValueError, match=says("folder is", name, "results.nc holds no arena", "choose another")):
            meet(tmp_path / name)
        assert (tmp_path / name / "results.nc").read_bytes() == before


@pytest.mark.parametrize("name", ["results.nc", "arena.jsonl", "a\0b", "x" * 300, "\ud800", "a/b", ".."])
def test_a_board_has_a_name_that_its_folder_can_have(tmp_path, name):
    with pytest.raises(ValueError, match=says("data has the name", "a folder can have")):
        meet(tmp_path / "arena", data=[name])
    if name not in ("results.nc", "arena.jsonl"):
        with pytest.raises(ValueError, match="a folder can have"):
            vfl.sweep_cases({name: vfl.presets.digits_demo()}, vfl.load_digits(), folder=tmp_path)


@pytest.mark.parametrize(
    ("attacks", "defenses", "words"),
    [
        ({"a": vfl.attacks.BASL}, {}, ("attacks['a'] is", "That is the class; make one of it: BASL()")),
        ({"a": vfl.attacks.BASL(), "b": vfl.attacks.BASL()}, {}, ("attacks['b'] is attacks['a'] twice",)),
        (
            {"a": vfl.attacks.BASL()},
            {"x": vfl.defenses.SignSGD(size=1.0), "y": vfl.defenses.SignSGD(size=1.0)},
            ("defenses['y'] is defenses['x'] twice",),
        ),
    ],
)
def test_who_meets_is_named(attacks, defenses, words):
    with pytest.raises(ValueError, match=says(*words)):
        vfl.arena(attacks, defenses, {"tiny": tiny_data()}, seeds=1, progress=False)


def test_a_board_has_a_head_that_is_known():
    with pytest.raises(ValueError, match=says("head is 'Sum'", "Did you mean 'sum'?")):
        vfl.board_for(tiny_data(), head="Sum")  # was the trainable one, unsaid


def test_lazy_results_are_reported(arena):
    pytest.importorskip("dask")
    assert tables(arena.chunk()) == tables(arena)
