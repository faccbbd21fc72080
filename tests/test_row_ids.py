"""Row ids ride beside results: apart from what was measured, kept by parts and files, read from older files, too."""

import h5py
import numpy as np
import pytest
import xarray as xr
from data_helpers import says
from sweep_helpers import DATA, SCENARIO, swept

import vfl_jax as vfl
from vfl_jax.core import files
from vfl_jax.core.row_ids import NAMES, ROW_IDS
from vfl_jax.sweeps.arguments import check_grid

SEEDS = [4, 2]


@pytest.fixture(scope="module")
def results():
    return swept(over=None, seeds=SEEDS, epochs=1)


def as_of_old(results):
    """Results in the form of older files, with row ids among the variables."""
    old = results.assign({name: vfl.row_ids(results)[name].variable for name in NAMES})
    del old.encoding[ROW_IDS]
    return old


def test_results_hold_what_was_measured_and_row_ids_stay_with_their_seeds(results):
    assert not {"poison_row", "target_row", *NAMES} & {*results.sizes, *results.variables}
    ids = vfl.row_ids(results)
    assert ids.poison_ids.dims == ("seed", "poison_row")
    assert ids.poison_ids[0].values.tolist() != ids.poison_ids[1].values.tolist()
    np.testing.assert_array_equal(vfl.row_ids(results.isel(seed=1)).poison_ids, ids.poison_ids[1])
    turned = vfl.row_ids(results[["loss"]].isel(seed=[1, 0], epoch=-1))
    assert turned.seed.values.tolist() == SEEDS[::-1]
    np.testing.assert_array_equal(turned.target_ids, ids.target_ids[::-1])


def test_a_file_keeps_them_in_a_group_of_their_own(results, tmp_path):
    path = vfl.save(results, tmp_path / "results.nc")
    assert vfl.row_ids(vfl.load(path)).identical(vfl.row_ids(results))
    with h5py.File(path) as file:
        assert sorted(file[ROW_IDS]) == ["poison_ids", "poison_row", "seed", "target_ids", "target_row"]
        assert "poison_row" not in file
    with xr.open_dataset(path, engine="h5netcdf", group=ROW_IDS) as other:  # another program
        np.testing.assert_array_equal(other.poison_ids, vfl.row_ids(results).poison_ids)
    assert vfl.save(vfl.load(path), tmp_path / "copy.nc").read_bytes() == path.read_bytes()
    one = vfl.save(results.sel(seed=[2]), tmp_path / "one.nc")
    assert vfl.row_ids(vfl.load(one)).seed.values.tolist() == [2]


def test_a_changed_row_id_is_noticed(results, tmp_path):
    path = vfl.save(results, tmp_path / "results.nc")
    with h5py.File(path, "r+") as file:
        file[ROW_IDS]["poison_ids"][0, 0] += 1
    with pytest.raises(files.Damaged, match="damaged"):
        vfl.load(path)


def test_an_older_file_reads_as_the_same_results(results, tmp_path):
    path = tmp_path / "old.nc"
    old = as_of_old(results)
    stored = files.to_stored(old)  # as it was written before row ids had a group
    stored.assign_attrs({files.DIGEST: files._digest(stored)}).to_netcdf(path, engine="h5netcdf")
    read = vfl.load(path)
    assert read.identical(results)
    assert vfl.row_ids(read).identical(vfl.row_ids(results))
    assert vfl.row_ids(old).identical(vfl.row_ids(results))


@pytest.mark.long
def test_a_folder_of_before_goes_on(tmp_path, monkeypatch):
    first = swept(tmp_path, over=None, seeds=[4], epochs=1)
    chunk = next((tmp_path / "chunks").glob("*.nc"))
    with h5py.File(chunk) as file:  # chunks lie as they always did, so that those of before are read
        assert "poison_ids" in file
        assert ROW_IDS not in file
    whole = swept(tmp_path, over=None, seeds=SEEDS, epochs=1)
    assert vfl.row_ids(whole.sel(seed=[4])).identical(vfl.row_ids(first))
    assert vfl.row_ids(vfl.load(tmp_path / "results.nc")).identical(vfl.row_ids(whole))


def test_what_holds_no_row_ids_says_so(results):
    with pytest.raises(ValueError, match=says("no row ids", "sweep")):
        vfl.row_ids(xr.Dataset({"loss": ("seed", [1.0])}))
    joined = xr.concat([results, results.assign_coords(seed=[7, 8])], "seed", combine_attrs="override")
    with pytest.raises(ValueError, match=says("seed 7", "Ask each part")):
        vfl.row_ids(joined)


def test_the_numbers_of_a_grid_are_a_frame_of_its_replicas(results):
    grid, seeds = check_grid(SCENARIO, None, SEEDS, 1, vfl.Given())
    lines = grid.size * len(seeds) * DATA.num_classes
    assert len(results.to_dataframe()) == lines
