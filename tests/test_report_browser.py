"""Pages in a browser: no error, no request, and tables, legends, the keyboard and print do what they say."""

import base64

import pytest
from browser_helpers import CHROMIUM, WHY_NOT, browser

from vfl_jax import plots
from vfl_jax.reports import html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)

ROWS = [
    {"noise": "10", "success": "3/20", "attack success": "0.150 [0.1, 0.2]"},
    {"noise": "9", "success": "20/20", "attack success": "–"},
    {"noise": "1,000", "success": "0/20", "attack success": "0.900 [0.8, 1.0]"},
]
CELLS = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent).join(' ')"
SHOWN = "[...document.querySelectorAll('svg [data-curve=\"{}\"]')].map(g => getComputedStyle(g).display).join(' ')"


def drawn():
    """A figure of two curves with their bands."""
    figure, panels = plots.grid_of_panels(1, 1)
    for label, color, level in (("attacked", "#4477AA", 0.9), ("honest", "#EE6677", 0.1)):
        panels[0, 0].plot([0, 1], [0, level], color=color, label=label)
        panels[0, 0].fill_between([0, 1], [0, level - 0.1], [0, level + 0.1], color=color, alpha=0.2)
    panels[0, 0].legend()
    return figure


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A page with one of everything, in the browser."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    parts = [html.answer("No."), html.section("All", [html.table(ROWS)]), html.figure(drawn(), "By epoch.")]
    path.write_text(html.document("A page", [*parts, html.details("Folded", ["the evidence"])]), encoding="utf-8")
    with browser() as page:
        page.open(path)
        yield page
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def test_a_click_sorts_by_numbers_and_back_with_dashes_last(shown):
    shown.value("document.querySelectorAll('th button')[0].click()")
    assert shown.value(CELLS) == "9 10 1,000"
    assert shown.value("document.querySelector('th').getAttribute('aria-sort')") == "ascending"
    shown.value("document.querySelectorAll('th button')[0].click()")
    assert shown.value(CELLS) == "1,000 10 9"
    for order in ("10 1,000 9", "1,000 10 9"):
        shown.value("document.querySelectorAll('th button')[2].click()")
        assert shown.value(CELLS) == order
    assert shown.value("document.querySelector('th').getAttribute('aria-sort')") == "none"


def test_keys_reach_a_column_and_sort_by_it(shown):
    shown.value("document.querySelectorAll('th button')[0].focus()")
    shown.press("Tab", "Tab")
    assert shown.value("document.activeElement.textContent") == "success"
    assert shown.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.press("Enter", "Enter")
    assert shown.value(CELLS) == "1,000 10 9"
    shown.press(" ", "Space")
    assert shown.value(CELLS) == "9 10 1,000"


def test_a_legend_hides_a_curve_with_its_band_and_shows_it_again(shown):
    button = "document.querySelector('.legend button[data-curve=\"1\"]')"
    assert shown.value(SHOWN.format(1)) == "inline inline"
    shown.value(f"{button}.click()")
    assert shown.value(SHOWN.format(1)) == "none none"
    assert shown.value(SHOWN.format(0)) == "inline inline"
    assert shown.value(f"{button}.getAttribute('aria-pressed')") == "false"
    shown.value(f"{button}.focus()")
    shown.press(" ", "Space")
    assert shown.value(SHOWN.format(1)) == "inline inline"


def test_a_page_is_dark_where_the_system_is_and_no_wider_than_a_phone(shown):
    paper, ink = "getComputedStyle(document.body).backgroundColor", "getComputedStyle(document.body).color"
    light = shown.value(paper)
    shown.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark, text = shown.value(paper), shown.value("getComputedStyle(document.querySelector('svg text')).fill")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 28)")
    assert text == shown.value(ink)
    shown.ask("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=False)
    assert shown.value("document.documentElement.scrollWidth") <= 360
    shown.ask("Emulation.clearDeviceMetricsOverride")


def test_print_unfolds_the_evidence(shown):
    shown.value("addEventListener('beforeprint', () => (window.unfolded = document.querySelector('details').open))")
    printed = base64.b64decode(shown.ask("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF")
    assert shown.value("window.unfolded") is True
    assert shown.value("document.querySelector('details').open") is False
