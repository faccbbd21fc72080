"""Mistakes in what reads results, writes tables and makes records: each ends in a sentence that names the argument."""

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_helpers import says
from result_helpers import sweep_of

import vfl_jax as vfl
from vfl_jax import plots, reports, statistics
from vfl_jax.core.checks import shown
from vfl_jax.sweeps.store.status import status


def swept():
    """Results of two seeds, honest and attacked, which every reader takes."""
    found = sweep_of([[0.9, 0.9], [0.9, 0.8]], [[0.1, 0.1], [0.9, 0.2]])
    return found.assign(attack_success_rate=found["backdoor_accuracy"])


GOOD = swept()
ARENA = xr.Dataset(
    {"reason": (("data", "attack", "defense"), [[[""]]]), "main_accuracy": (("data", "seed"), [[0.9]])},
    attrs={"boards": "{}", "attacks": "{}", "defenses": "{}"},
)
AUDIT = xr.Dataset({"read": (("reader", "seed"), [[0.9]]), "main_accuracy": ("seed", [0.9])}, attrs={"facts": "{}"})
READERS = {
    "summary": (vfl.summary, "results"),
    "outcomes": (statistics.outcomes, "dataset"),
    "attacked": (vfl.attacked, "dataset"),
    "honest": (vfl.honest, "dataset"),
    "tidy": (vfl.tidy, "results"),
    "main_of": (statistics.main_of, "dataset"),
    "rows": (reports.rows, "dataset"),
    "overview": (plots.overview, "dataset"),
    "against": (functools.partial(plots.against, setting="attack.amplify"), "dataset"),
    "curves": (lambda given: plots.curves({"all": given}), "runs['all']"),
    "compare": (functools.partial(vfl.compare, GOOD), "b"),
    "row_ids": (vfl.row_ids, "results"),
    "predict": (vfl.predict, "results"),
    "save": (functools.partial(vfl.save, path="results.nc"), "dataset"),
}
"""Everything that takes results and no file, with the name of the argument."""
NO_RESULTS = {
    "a file": ("grid.nc", "'grid.nc'", "Read the file first: vfl.load('grid.nc')."),
    "nothing": (None, "None", ""),
    "what run returns": ((GOOD, None), "(<xarray", "vfl.run returns two things; give the first"),
    "a list": ([GOOD], "[<xarray", "Give one at a time."),
    "a variable": (GOOD["main_task_accuracy"], "a DataArray", "one variable of results"),
    "a frame": (pd.DataFrame({"a": [1]}), "a DataFrame", ""),
}
"""What was given, how messages show it, and what they advise."""


@pytest.mark.parametrize("what", NO_RESULTS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_results_is_named(reader, what):
    function, argument = READERS[reader]
    given, told, advice = NO_RESULTS[what]
    with pytest.raises(ValueError, match=says(f"{argument} is {told}", "must be an xarray.Dataset", advice)):
        function(given)


LACKING = [reader for reader in READERS if reader not in ("main_of", "tidy", "compare", "row_ids", "predict", "save")]


@pytest.mark.parametrize(("given", "kind"), [(ARENA, "an arena"), (AUDIT, "an audit")])
@pytest.mark.parametrize("reader", [name for name in LACKING if name not in ("attacked", "honest", "curves")])
def test_results_of_another_kind_say_what_reads_them(reader, given, kind):
    function, argument = READERS[reader]
    words = f"{argument} has no main_task_accuracy", f"It is the result of {kind}, which vfl.show, vfl.report"
    with pytest.raises(ValueError, match=says(*words)):
        function(given)


@pytest.mark.parametrize("reader", [vfl.attacked, vfl.honest])
def test_an_audit_has_no_parts(reader):
    with pytest.raises(ValueError, match=says("dataset has no attacked and honest runs", "the result of an audit")):
        reader(AUDIT)


@pytest.mark.parametrize("reader", LACKING)
def test_an_empty_selection_is_named(reader):
    function, argument = READERS[reader]
    nothing = GOOD.isel(seed=slice(0, 0))
    if reader in ("outcomes", "attacked", "honest"):  # these are of each run by itself, and of none there are none
        assert function(nothing).sizes["seed"] == 0
    else:
        with pytest.raises(ValueError, match=says(f"{argument} has no seed: a selection has left none of its runs")):
            function(nothing)
    with pytest.raises(ValueError, match=says(f"{argument} is an xarray.Dataset without a variable")):
        function(xr.Dataset())


ARGUMENTS = {
    "main of a summary": (lambda: vfl.summary(GOOD, "main_acuracy"), ("main is 'main_acuracy'", "Did you mean 'main_")),
    "main of outcomes": (lambda: statistics.outcomes(GOOD, "x"), ("main is 'x'", "It holds main_task_accuracy")),
    "epoch of a summary": (lambda: vfl.summary(GOOD, epoch=7), ("epoch is 7", "from 0 to 0", "results.sel(epoch=")),
    "epoch of rows": (lambda: reports.rows(GOOD, epoch="last"), ("epoch is 'last'",)),
    "epoch of a comparison": (lambda: vfl.compare(GOOD, GOOD, epoch=7), ("epoch is 7",)),
    "level of a summary": (lambda: vfl.summary(GOOD, level=95), ("level is 95", "between 0 and 1, such as 0.95")),
    "level of a comparison": (lambda: vfl.compare(GOOD, GOOD, level=95), ("level is 95",)),
    "level of an interval": (lambda: statistics.interval([1, 2], level=0), ("level is 0",)),
    "level of a share": (lambda: statistics.share_interval(1, 2, 1.0), ("level is 1.0",)),
    "one name": (
        lambda: plots.overview(GOOD, "main_clean"),
        ("names is 'main_clean'", "a list, such as ['main_clean']"),
    ),
    "no names": (lambda: vfl.compare(GOOD, GOOD, []), ("names is []", "a list of variables")),
    "an unknown name": (lambda: plots.overview(GOOD, ["backdor_accuracy"]), ("Did you mean 'backdoor_accuracy'?",)),
    "runs without a label": (lambda: plots.curves(GOOD), ("runs is a Dataset", "results by label")),
    "results without a name": (lambda: vfl.report([GOOD, GOOD]), ("results has a Dataset", "Results need names")),
    "a report's file": (lambda: vfl.report(GOOD, html=3), ("html is 3", "the path of a file")),
    "a result's file": (lambda: vfl.load(3), ("path is 3", "the path of a file")),
    "a saved result's file": (lambda: vfl.save(GOOD, None), ("path is None",)),
    "a file of parameters": (lambda: vfl.save_params(3, {}), ("path is 3",)),
    "numbers of no record": (lambda: vfl.numbers(3), ("record is 3", "a Record")),
    "an unknown data set": (lambda: vfl.sweep(vfl.presets.digits_demo(), "digits"), ("LOADERS['digits']()",)),
    "a preset that is not called": (lambda: vfl.sweep(vfl.presets.zou2022, None), ("call it: zou2022().",)),
    "a preset's choice": (lambda: vfl.presets.zou2022(task="mnits"), ("task is 'mnits'", "Did you mean 'mnist'?")),
    "a preset's parties": (lambda: vfl.presets.zou2022(num_parties="2"), ("num_parties is '2'", "a whole number")),
    "a preset's attackers": (lambda: vfl.presets.digits_demo(attackers=1), ("attackers is 1", "such as (1,)")),
    "seeds": (lambda: vfl.sweep(vfl.presets.digits_demo(), None, seeds=2.5), ("seeds is 2.5;",)),
    "an audit's minutes": (lambda: vfl.audit(None, minutes="ten"), ("minutes is 'ten'", "a number above 0")),
    "an audit's seeds": (lambda: vfl.audit(None, seeds=3), ("seeds is 3; it must be at least 10",)),
    "an audit's rows": (lambda: vfl.audit(None, rows=1), ("rows is 1; it must be at least 100",)),
    "a class for a defense": (
        lambda: vfl.arena({"a": vfl.attacks.SignFlip()}, {"b": vfl.defenses.Clipping}, {"c": vfl.load_digits()}),
        ("defenses['b'] is", "make one of it: Clipping()"),
    ),
    "parties": (lambda: vfl.repartition(vfl.load_digits(), "x"), ("num_parties is 'x'",)),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_an_argument_is_named_as_it_was_typed(case):
    call, words = ARGUMENTS[case]
    with pytest.raises(ValueError, match=says(*words)):
        call()


TABLES = {
    "empty": ([], ("table is empty",)),
    "a frame": (pd.DataFrame({"a": [1]}), ("table is ", "as vfl.reports.rows returns it")),
    "a text": ("rows", ("table is 'rows'",)),
    "a number": ([{"a": 0.5}], ("table[0]['a'] is 0.5", "must be a text")),
    "other columns": ([{"a": "1"}, {"b": "2"}], ("table[1] has the columns ['b']", "['a']")),
    "no dict": ([["a"]], ("table[0] is ['a']", "a dict")),
}
WRITERS = (reports.to_markdown, reports.to_csv, reports.to_latex, functools.partial(reports.to_terminal, title="t"))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("case", TABLES)
def test_what_is_no_table_is_named(case, writer):
    table, words = TABLES[case]
    with pytest.raises(ValueError, match=says(*words)):
        writer(table)


def test_a_note_needs_a_row():
    with pytest.raises(ValueError, match="table is empty"):
        reports.note([])


RECORDS = {
    "a place": (lambda: vfl.defenses.GaussianNoise(0.1), "by name, for example GaussianNoise(stddev=0.1)."),
    "no fields": (lambda: vfl.protocol.ActiveTransform(1), "ActiveTransform takes its fields by name; it has none."),
    "a wrong name": (lambda: vfl.defenses.GaussianNoise(sttdev=1), "no field 'sttdev'. Did you mean 'stddev'?"),
    "a changed field": (lambda: vfl.Scenario().replace(defence=None), "no field 'defence'. Did you mean 'defense'?"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_takes_its_fields_by_their_names(case):
    call, words = RECORDS[case]
    with pytest.raises(TypeError, match=says(words)):
        call()


def test_a_folder_and_a_foreign_file_are_no_results(tmp_path):
    (tmp_path / "notes.nc").write_text("not NetCDF")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "notes.nc", "does not begin as a NetCDF file does")):
        with pytest.raises(OSError, match=says(str(path), words)):
            vfl.load(path)
    for path, words in (
        (tmp_path / "notes.nc", "is a file; status takes the folder"),
        (tmp_path / "x", "is not there"),
    ):
        with pytest.raises(ValueError, match=says(str(path), words)):
            status(path)


def test_large_things_are_shown_by_their_type():
    assert shown(GOOD) == "a Dataset"
    assert shown(vfl.load_digits()) == "a VerticalData"
    assert shown(np.zeros(2)) == "array([0., 0.])"
    assert shown("two\nlines") == "'two\\nlines'"
