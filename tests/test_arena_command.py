"""``vfl-jax arena``: who is named meets, a newcomer's file too, and what is printed and written."""

import sys
from pathlib import Path

import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.arenas.lineup import ATTACKS, BOARDS, DEFENSES
from vfl_jax.arenas.readings import answer
from vfl_jax.cli import commands, meeting
from vfl_jax.core.record import kinds
from vfl_jax.defenses.clipping import Clipping

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
NEWCOMER = '''
import vfl_jax as vfl


class Holler(vfl.Attack):
    """Adds a constant to the message of every row that is to be attacked."""

    needs = vfl.protocol.Needs(trigger="message", poison_rate=0.0)
    size: float = 5.0

    def infer_upload(self, key, state, view, embedding):
        return vfl.protocol.where_rows(view.is_attacked, embedding + self.size, embedding)
'''


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """A folder with a newcomer's one file."""
    (tmp_path / "newcomer.py").write_text(NEWCOMER)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("newcomer", None)


def test_help_is_shown_where_a_plug_in_is_loaded_too(newcomer, capsys):
    commands.main(["--plugin", "newcomer", "--help"])
    assert "usage: vfl-jax SUBCOMMAND [FLAGS]" in capsys.readouterr().out


@pytest.mark.long
def test_a_newcomers_file_meets_the_line_up(newcomer, capsys):
    words = "--data digits --attack Holler --attack BASL --defense Clipping --seeds 2 --out found.nc --folder runs"
    commands.main(["arena", "--plugin", "newcomer", *words.split()])
    said = capsys.readouterr()
    assert "4 programs" in said.err
    assert "Holler" in said.out
    assert "wrote found.nc, found_map.png, found_cost.png" in said.out
    results = vfl.load("found.nc")
    assert results["attack"].values.tolist() == ["Holler", "BASL"]
    assert results["defense"].values.tolist() == ["none", "Clipping"]
    assert results["attack_success"].notnull().all()


def test_who_wins_is_said_before_the_tables(capsys):
    results = vfl.load(EXPERIMENTS / "arena" / "results" / "handwritten.nc")
    meeting.show(results, vfl.reports.console())
    said = capsys.readouterr().out
    sentences, *_ = said.split("attacks, 5 seeds")
    sentences = " ".join(sentences.split())
    assert sentences.startswith(
        "The strongest is LearnedMessage-30 (tied with BASL-30) of 13 attacks that have a rank: its mean attack "
    )
    assert "EmbeddingNormalisation (tied with MID) leaves the strongest attack a lift of" in sentences
    assert max(map(len, said.splitlines())) <= 80


def test_where_the_defenses_are_level_with_none_nobody_is_named():
    results = vfl.load(EXPERIMENTS / "arena" / "results" / "handwritten.nc")
    level = results.sel(defense=["none", "GaussianNoise-weak", "Clipping"])
    assert answer(level)[1].startswith(
        "No defense tried leaves the strongest attack surely less than it has without one, a lift of 0.9"
    )


def test_the_line_up_is_listed(capsys):
    commands.main(["arena", "--list"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said for name in (*ATTACKS, *DEFENSES, *BOARDS))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--attack", "Nobody"], ("--attack is 'Nobody'", "BASL")),
        (["--defense", "Nobody"], ("--defense is 'Nobody'", "Clipping")),
        (["--data", "nowhere"], ("--data is 'nowhere'", "digits")),
        (["--out", "picture.png"], ("--out is picture.png",)),
    ],
)
def test_unknown_names_are_refused(words, said, capsys):
    with pytest.raises(SystemExit) as error:
        commands.main(["arena", *words])
    assert says(str(error.value), *said)


def test_no_defense_can_be_named(monkeypatch):
    """Every arena has it, and whoever wants it alone must be able to say so."""

    def remembered(attacks, defenses, *_, **__):
        raise SystemExit(",".join(defenses))

    monkeypatch.setattr("vfl_jax.arenas.arena", remembered)
    for named, meets in ((["none"], "none"), (["Clipping", "none"], "Clipping,none")):
        words = [word for name in named for word in ("--defense", name)]
        with pytest.raises(SystemExit, match=f"^{meets}$"):
            commands.main(["arena", "--data", "digits", "--attack", "BASL", *words])


def test_every_method_of_the_package_is_in_the_line_up_or_said_to_be_absent():
    """A new method that nobody lets into the arena fails here."""
    from vfl_jax.arenas.lineup import ABSENT
    from vfl_jax.protocol.methods import methods
    from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack

    def made(given):
        given = given[0] if isinstance(given, tuple) else given
        return given if isinstance(given, vfl.PartyTransform) else given(20)

    there = {type(part).__name__ for given in ATTACKS.values() for part in methods(made(given))}
    there |= {type(part).__name__ for defense in DEFENSES.values() for part in methods(defense)}
    of_package = {
        name
        for base in (Attack, ActiveAttack, ActiveTransform)
        for name, kind in kinds(base).items()
        if kind.__module__.startswith(("vfl_jax.attacks", "vfl_jax.defenses"))
    }
    assert there | ABSENT.keys() == of_package
    assert not there & ABSENT.keys()
    assert all(ABSENT.values())
    assert Clipping.__name__ in there
