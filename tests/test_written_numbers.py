"""Measured numbers as readers see them: what rounds to nothing has no sign, wherever it is written."""

import re
from pathlib import Path

import pytest
import xarray as xr

import vfl_jax as vfl
from vfl_jax import reports

ROOT = Path(__file__).parents[1]
WRITING = ("reports", "arenas", "audits", "plots", "sweeps/progress.py", "cli/demo.py", "cli/story.py")
"""What of the package writes measured numbers for people."""


@pytest.mark.parametrize(
    ("number", "text"), [(-0.0004, "0.000"), (-0.0006, "-0.001"), (-0.0, "0.000"), (0.0004, "0.000"), (-1.0, "-1.000")]
)
def test_what_rounds_to_nothing_has_no_sign(number, text):
    numbers = {"loss_median": number, "loss_low": number, "loss_high": number}
    assert reports.interval_text(numbers, "loss") == f"{text} [{text}, {text}]"
    assert reports.median_with_interval([number] * 3) == f"{text} [{text}, {text}]"


def test_a_comparison_has_no_negative_zero_anywhere_and_stays_exact_as_numbers():
    a = xr.Dataset({"main_task_accuracy": ("seed", [0.5, 0.5])}, {"seed": [0, 1]})
    found = vfl.compare(a, a - 0.0002, ["main_task_accuracy"])
    for text in (repr(found), found._repr_html_()):
        assert "0.000" in text
        assert not re.search(r"[-−]0\.0+(?!\d)", text)
    assert found.table["difference_median"].item() == pytest.approx(-0.0002)


def test_every_number_with_fixed_decimals_is_written_without_the_sign_of_nothing():
    """Python's format has a letter for it: z."""
    places = [ROOT / "vfl_jax" / place for place in WRITING]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
    signed = [f"{file.name}: {text}" for file in files for text in re.findall(r":\+?\.\d+f\}", file.read_text())]
    assert not signed
    assert any(":z.3f}" in file.read_text() for file in files)


def test_no_page_says_negative_nothing():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").rglob("*.md")]
    pages += sorted((ROOT / "experiments/audits/results").glob("*.html"))
    assert len(pages) > 20
    assert not [page.name for page in pages if re.search(r"(?<![\d.\w])[-−]0\.0+(?!\d)", page.read_text())]
