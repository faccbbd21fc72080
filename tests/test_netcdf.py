"""Results that NetCDF cannot hold as they are come back as they were, or are refused before anything is written."""

from pathlib import Path

import h5netcdf
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_helpers import says

from vfl_jax.core import files

ONE = xr.Dataset({"loss": (("seed", "epoch"), np.arange(6.0).reshape(2, 3) + 1)}, {"seed": [0, 1]})
COMMITTED = sorted((Path(__file__).parents[1] / "experiments").rglob("results/**/*.nc"))


def of(values, **attributes):
    return xr.Dataset({"found": (("row",), values, attributes)})


def of_objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return of(array)


def dates(*texts, unit="ns"):
    return np.array(texts, f"M8[{unit}]")


KINDS = {
    "a pandas index": xr.concat([ONE, 2 * ONE], pd.Index(["none", "clipping"], name="defense")),
    "an index of numbers": xr.concat([ONE, 2 * ONE], pd.Index([0.1, 0.2], name="defense.stddev")),
    "one of several names": xr.concat([ONE] * 3, xr.Variable("case", ["a", "longer", "longest"])).isel(case=[0]),
    "a name that was chosen": xr.concat([ONE] * 2, xr.Variable("case", ["a", "longer"])).sel(case="a"),
    "days": ONE.assign_coords(epoch=pd.date_range("2024", periods=3)),
    "days, one missing": of(dates("2024-01-01T10:00:00.123456789", "NaT")),
    "seconds": ONE.assign_coords(epoch=dates("1066-10-14", "2024-02-29", "2200-01-01", unit="s")),
    "microseconds": of(dates("2024-01-01T00:00:00.000001", "1969-12-31", unit="us")),
    "durations": of(np.array([1, -2, 3], "m8[ms]")),
    "durations, one missing": of(np.array(["NaT", 5], "m8[ns]")),
    "a date that says more": ONE.assign_coords(epoch=("epoch", pd.date_range("2024", periods=3), {"units": "mine"})),
    "a date alone": ONE.assign_coords(trained=np.datetime64("2024-01-01", "s")),
    "text": of(["é", "", "数", "a b"]),
    "text with nothing in it": of(np.array([], "U9")),
    "text in a wide array": of(np.array(["a", "b"], "U9")),
    "text with a zero": of(["a\0b", "c"]),
    "text and nothing": of_objects("a", None),
    "text and numbers": of_objects("a", 1, 2.5, True),
    "lists": of_objects([1, 2], {"a": None}),
    "whole numbers as objects": of_objects(1, 2),
    "large numbers": of_objects(2**70, 1),
    "numbers and nothing": of_objects(1.5, None),
    "flags as objects": of_objects(True, False),
    "flags and numbers": of_objects(True, 2, 0),
    "categories": of(pd.Categorical(["b", "a", "b"])),
    "nullable numbers": of(pd.array([1, 2], dtype="Int64")),
    "flags": of(np.array([True, False])),
    "bytes": of(np.array([b"ab", b"c"])),
    "the largest number": of(np.array([2**64 - 1, 0], np.uint64)),
    "numbers of another machine": of(np.array([1.5, np.nan], ">f4")),
    "half precision": of(np.array([1.5, np.inf], np.float16)),
    "complex": of(np.array([1 + 2j, 0])),
    "of jax": of(jnp.arange(3)),
    "nothing": xr.Dataset({"found": (("row", "column"), np.zeros((0, 3), np.float32))}),
    "no variable": xr.Dataset(attrs={"data": "none"}),
    "one number": xr.Dataset({"found": 1.5}),
    "names of NumPy": xr.Dataset({np.str_("found"): (np.str_("row"), np.arange(3))}),
    "units that are none": of([1, 2], units="days since 2000-01-01"),
    "a fill that is none": of([1, 2], _FillValue=1, scale_factor=2.0, dtype="bool"),
    "a coordinate with a space": ONE.assign_coords({"of whom": ("seed", ["a", "b"])}),
    "a table called as one of its dimensions": xr.Dataset(
        {"row": (("row", "column"), [[1.0, 2], [3, 4]]), "other": (("column", "row"), [[0.5, 1], [2, 3]])}
    ),
    "lazy": ONE.chunk({"seed": 1}),
    "lazy and joined": xr.concat([ONE.chunk(), 2 * ONE.chunk()], "case"),
}


@pytest.mark.parametrize("name", KINDS)
def test_results_of_any_kind_come_back(name, tmp_path):
    results = KINDS[name]
    path = files.save(results, tmp_path / "results.nc")
    found = files.load(path)
    assert list(found.coords) == list(results.coords)
    assert found.identical(results.as_numpy())
    if name == "flags and numbers":  # which are equal to numbers
        assert [type(value) for value in found["found"].values] == [bool, int, int]
    for kind in "Mm":
        times = {n: v.dtype for n, v in results.variables.items() if getattr(v.dtype, "kind", "") == kind}
        assert {n: found[n].dtype for n in times} == times
    assert files.save(found, tmp_path / "again.nc").read_bytes() == path.read_bytes()


ATTRIBUTES = {
    **{
        "yes": True,
        "no": np.bool_(False),
        "none": None,
        "text": "é",
        "empty": "",
        "zero": "a\0b",
        "long": "x" * 100_000,
        "text of NumPy": np.array(["yes", "no"])[0],
    },
    **{"whole": 3, "large": 2**70, "float": 0.1, "infinite": float("-inf"), "float32": np.float32(0.1)},
    **{"list": [1, 2], "one": [1], "nothing": [], "flags": [True, False], "texts": ["a", "b"], "one text": ["a"]},
    **{"tuple": (1, "a"), "mixed": [1, None, [2.5, "a"]], "dictionary": {"a": [1, {"b": None}]}},
    **{
        "array": np.arange(3),
        "of one": np.ones(1),
        "square": np.ones((2, 2), np.float32),
        "mask": np.array([True, False]),
    },
    **{"many": np.arange(50_000.0), "units": "seconds since 1970-01-01", "coordinates": "seed", "Größe": 1, "a/b": 2},
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_of_any_kind_come_back(name, tmp_path):
    value = ATTRIBUTES[name]
    results = ONE.assign_attrs({name: value, "scenario": "{}"})
    results["loss"].attrs[name] = value
    path = files.save(results, tmp_path / "results.nc")
    found = files.load(path)
    for attributes in (found.attrs, found["loss"].attrs):
        kept = attributes[name]
        np.testing.assert_equal(kept, list(value) if isinstance(value, tuple) else value)
        assert isinstance(kept, bool) == isinstance(value, bool | np.bool_)
        assert type(kept) is str or not isinstance(value, str)
        if isinstance(value, np.ndarray):
            assert (kept.dtype, kept.shape) == (value.dtype, value.shape)
    assert files.save(found, tmp_path / "again.nc").read_bytes() == path.read_bytes()
    assert "digest" not in found.attrs


def test_other_programs_read_numbers_text_and_dates(tmp_path):
    results = xr.concat([ONE], pd.Index(["none"], name="defense")).assign_coords(
        epoch=pd.DatetimeIndex(["2024", "NaT", "2025"])
    )
    with xr.open_dataset(files.save(results, tmp_path / "results.nc"), engine="h5netcdf") as found:
        np.testing.assert_array_equal(found["loss"], results["loss"])
        assert found["defense"].values.tolist() == ["none"]
        np.testing.assert_array_equal(found["epoch"].values, results["epoch"].values)


def test_other_programs_follow_no_attribute_of_ours(tmp_path):
    """An attribute that tells readers of NetCDF to change values or dimensions is kept where they do not look."""
    told = {
        "_FillValue": 1,
        "missing_value": 2,
        "scale_factor": 2.0,
        "add_offset": 1.0,
        "units": "days since 2000-01-01",
    }
    for name, value in told.items():
        path = files.save(of([1, 2], **{name: value}), tmp_path / f"{name}.nc")
        with xr.open_dataset(path, engine="h5netcdf") as found:
            assert found["found"].values.tolist() == [1, 2], name
        assert files.load(path)["found"].attrs == {name: value}


def test_numbers_that_lie_in_files_yet_are_read(tmp_path):
    for i in range(2):
        files.save(ONE.assign_coords(seed=[2 * i, 2 * i + 1]), tmp_path / f"{i}.nc")
    whole = xr.concat([ONE, ONE.assign_coords(seed=[2, 3])], "seed")
    with xr.open_mfdataset(
        sorted(tmp_path.glob("*.nc")), engine="h5netcdf", combine="nested", concat_dim="seed"
    ) as some:
        files.save(some, tmp_path / "all.nc")
    assert files.load(tmp_path / "all.nc").identical(whole)
    with xr.open_dataset(tmp_path / "0.nc", engine="h5netcdf") as one:
        files.save(one, tmp_path / "0.nc")  # in place of what it is read from
    assert files.load(tmp_path / "0.nc").identical(ONE)


def test_a_changed_mark_is_noticed(tmp_path):
    path = files.save(ONE.assign_attrs(is_small=True), tmp_path / "results.nc")
    path.write_bytes(path.read_bytes().replace(b"true", b"null"))
    with pytest.raises(files.Damaged, match=says("results.nc is damaged", "digest")):
        files.load(path)


REFUSED = {
    "an index of several levels": (ONE.stack(replica=("seed", "epoch")), ("'replica'", "seed, epoch", "reset_index")),
    "periods": (ONE.assign_coords(epoch=pd.period_range("2024", periods=3)), ("'epoch'", "Period", "str()")),
    "intervals": (ONE.assign_coords(epoch=pd.interval_range(0, 3)), ("'epoch'", "Interval")),
    "half a character": (of(["\ud800"]), ("'found'", "half a character")),
    "an attribute of half a character": (ONE.assign_attrs(at="\ud800"), ("Attribute 'at'", "half a character")),
    "half a character in a name": (ONE.assign_attrs({"a\ud800": 1}), ("An attribute", "half a character")),
    "half a character in a key": (ONE.assign_attrs(at={"\ud800": 1}), ("Attribute 'at'", "dict")),
    "records": (of(np.zeros(2, [("a", int)])), ("'found'", "[('a', '<i8')]")),
    "a function": (ONE.assign_attrs(of=print), ("Attribute 'of' of the results", "builtin_function", "numbers")),
    "a date as an attribute": (ONE.assign_attrs(at=pd.Timestamp("2024")), ("Attribute 'at'", "Timestamp", "str()")),
    "complex attribute": (ONE.assign_attrs(at=1j), ("Attribute 'at'", "complex")),
    "a dictionary with numbers for names": (ONE.assign_attrs(at={1: 2}), ("Attribute 'at'", "dict")),
    "an attribute without a name": (ONE.assign_attrs({1: 2}), ("An attribute of the results is called 1",)),
    "a name with a slash": (ONE.rename(loss="loss/all"), ("'loss/all'", "'/'", "rename")),
    "a dimension with a slash": (ONE.rename(epoch="a/b"), ("'a/b'", "'/'")),
    "a number for a name": (ONE.rename(loss=1), ("called 1", "rename")),
    "an array": (ONE["loss"], ("dataset is a DataArray", "one variable of results")),
    "no results": ({"loss": 1}, ("dataset is {'loss': 1}", "xarray.Dataset")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_holds_is_refused_and_nothing_is_written(name, tmp_path):
    results, message = REFUSED[name]
    with pytest.raises(ValueError, match=says(*message)):
        files.save(results, tmp_path / "results.nc")
    assert not list(tmp_path.iterdir())


def test_of_a_growing_dimension_another_program_may_have_written_a_part(tmp_path):
    with h5netcdf.File(tmp_path / "growing.nc", "w") as file:
        file.dimensions = {"seed": None}
        for name, values in {"long": [1.0, 2.0, 3.0], "short": [4.0]}.items():
            variable = file.create_variable(name, ("seed",), np.float64, fillvalue=np.nan)
            file.resize_dimension("seed", max(len(values), file.dimensions["seed"].size))
            variable[: len(values)] = values
    found = files.load(tmp_path / "growing.nc")
    np.testing.assert_array_equal(found["long"], [1, 2, 3])
    np.testing.assert_array_equal(found["short"], [4, np.nan, np.nan])


def test_committed_results_load_and_are_the_same_when_written_again(tmp_path):
    assert len(COMMITTED) > 100
    for path in COMMITTED[::30]:
        found = files.load_own(path)
        once = files.save(found, tmp_path / "once.nc")
        assert files.load_own(once).identical(found), path
        assert files.save(found, tmp_path / "twice.nc").read_bytes() == once.read_bytes(), path


@pytest.mark.long
def test_all_committed_results_load():
    """Those of an experiment's cases are read in the quick suite, too, by ``test_experiments.py``."""
    for path in COMMITTED:
        assert files.load_own(path).sizes, path
