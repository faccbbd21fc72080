"""Mistakes on the command line: each ends in one sentence that names the flag as it was typed."""

import pytest
from data_helpers import says

from vfl_jax.cli import main
from vfl_jax.core.registry import find

RUN = ("run", "digits_demo-sum")
SAID = {
    "an attack as a defense": ((*RUN, "--defense", "BASL"), ("--defense is 'BASL'", "no defense", "by --attack")),
    "a defense as an attack": ((*RUN, "--attack", "1=Clipping"), ("--attack is 'Clipping'", "by --defense")),
    "an attack of a party": (
        (*RUN, "--attack", "active=BASL"),
        ("--attack is 'BASL', which is no attack by the active party", "say which: PARTY=BASL"),
    ),
    "a defense in the arena": (("arena", "--attack", "Clipping"), ("--attack is 'Clipping'", "by --defense")),
    "nearly an attack of the line-up": (
        ("arena", "--attack", "BASL-3"),
        (
            "--attack is 'BASL-3', no known attack. Did you mean 'BASL-30'?",
            "BASL, BASL-30, BASL-5,",
            "UAB",
            "Villain-or",
        ),
    ),
    "nearly a defense of the line-up": (
        ("arena", "--defense", "GaussianNoise-weka"),
        ("--defense is 'GaussianNoise-weka'", "Did you mean 'GaussianNoise-weak'?", "DCAE", "GaussianNoise-weak,"),
    ),
    "nearly a board": (("arena", "--data", "mnist_3"), ("--data is 'mnist_3'", "Did you mean 'mnist_4'?", "mnist_4,")),
    "a file for a plug-in": (
        ("list", "--plugin", "mine.py"),
        ("plug-in 'mine.py'", "Did you mean --plugin mine?", "or in the current folder"),
    ),
    "an audit's page": (("audit", "--data", "digits", "--out", "a.png"), ("--out is a.png", "must be .html")),
    "an audit's seeds": (("audit", "--data", "digits", "--seeds", "3"), ("--seeds is 3; it must be at least 10",)),
    "an audit's minutes": (("audit", "--data", "digits", "--minutes", "0"), ("--minutes is 0.0", "above 0")),
    "a file for a folder": (("status", __file__), (__file__, "is a file; status takes the folder")),
    "no folder": (("status", "nothing"), ("nothing is not there",)),
    "no results": (("show", __file__), (__file__, "does not begin as a NetCDF file does")),
}


@pytest.mark.parametrize("case", SAID)
def test_a_mistake_is_one_sentence(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, parts = SAID[case]
    with pytest.raises(SystemExit, match=says("error: ", *parts)) as ended:
        main(list(words))
    assert "\n" not in str(ended.value.code)
    assert not list(tmp_path.iterdir())


NO_NUMBERS = {
    "an optional count": ((*RUN, "--parties", "two"), "--parties: 'two' is no whole number."),
    "a count": ((*RUN, "--epochs", "1.5"), "--epochs: '1.5' is no whole number."),
    "a number": (("audit", "--data", "digits", "--minutes", "ten"), "--minutes: 'ten' is no number."),
}


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_what_is_no_number_is_told_by_its_flag(case, capsys):
    words, said = NO_NUMBERS[case]
    with pytest.raises(SystemExit, match="2"):
        main(list(words))
    printed = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert said in printed
    assert "int()" not in printed
    assert "instantiated" not in printed


def test_where_nothing_is_known_it_says_so():
    with pytest.raises(ValueError, match=says("--metric is 'x', no known metric. There is none.", "--plugin")):
        find({}, "--metric", "metric", "x")
