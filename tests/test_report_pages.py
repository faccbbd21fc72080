"""Pages of HTML without a browser: what they hold, what they ask for, how large they are."""

import re
from html.parser import HTMLParser

import pytest

from vfl_jax import plots
from vfl_jax.reports import html

VOID = {"meta", "link", "br", "img", "input", "hr"}
BAD = "<script>alert(1)</script> & \"quotes\" 'too' \x00"


class Outline(HTMLParser):
    """The tags, ids and text of a page; it fails where tags do not match."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], {}
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.open[-1] if self.open else ""] = self.text.get(self.open[-1] if self.open else "", "") + data


def figure_of(*labels):
    """A figure with a curve for each label."""
    figure, panels = plots.grid_of_panels(1, 1)
    for i, label in enumerate(labels):
        panels[0, 0].plot([0, 1], [0, i], label=label, color=plots.COLORS[i])
    panels[0, 0].legend()
    return figure


def test_text_is_escaped_wherever_it_stands():
    row = {BAD: BAD}
    parts = [html.answer(BAD), html.heading(BAD), BAD, html.bullets([BAD]), html.code(BAD), html.table([row], BAD)]
    parts += [html.details(BAD, [BAD]), html.glossary({BAD: BAD}), html.figure(figure_of(BAD, "b"), BAD, BAD)]
    page = Outline(html.document(BAD, parts, description=BAD))
    assert page.tags.count("script") == 1
    assert "alert" not in page.text["script"]
    shown = BAD.replace("\x00", "\ufffd")
    for tag in ("title", "h1", "h2", "li", "code", "td", "caption", "summary", "dt", "dd", "figcaption"):
        assert page.text[tag].strip() == shown, tag


def test_a_page_asks_for_nothing_and_is_small():
    page = html.document("A page", [html.figure(figure_of("a", "b"), "A figure.")])
    outline = Outline(page)
    asked = [found[name] for _, found in outline.attributes for name in ("src", "href", "xlink:href") if name in found]
    assert all(target.startswith(("#", "data:")) for target in asked)
    assert "@import" not in page
    assert "url(http" not in page
    policy = next(found["content"] for tag, found in outline.attributes if "http-equiv" in found)
    assert policy.startswith("default-src 'none'")
    assert len(page.encode()) < 60_000
    assert ("html", {"lang": "en"}) in outline.attributes


def test_a_page_of_two_megabytes_is_refused():
    with pytest.raises(ValueError, match=r"The page has 2,0.* fewer than 2,000,000"):
        html.document("t", ["x" * html.MOST_BYTES])


def test_headings_have_one_level_1_and_places_of_their_own():
    page = Outline(html.document("t", [html.section("Same", ["a"]), html.section("Same", ["b"], 3)]))
    assert page.tags.count("h1") == 1
    ids = [found["id"] for _, found in page.attributes if "id" in found]
    assert len(set(ids)) == len(ids) == 2
    with pytest.raises(ValueError, match="level is 1"):
        html.heading("t", 1)


def test_tables_say_what_is_wrong_and_who_can_be_sorted():
    with pytest.raises(ValueError, match="rows is empty"):
        html.table([])
    with pytest.raises(ValueError, match=r"different columns: \['a'\] and \['b'\]"):
        html.table([{"a": "1"}, {"b": "1"}])
    heads = [found for tag, found in Outline(html.table([{"a": "1", "b": "–"}])).attributes if tag == "th"]
    assert heads == [
        {"scope": "col", "class": "number", "aria-sort": "none"},
        {"scope": "col", "aria-sort": "none"},
    ]
    assert "button" not in Outline(html.table([{"a": "1"}], is_sortable=False)).tags


def test_a_figure_keeps_text_names_its_curves_and_stays_as_it_was():
    figure = figure_of("attacked", "honest")
    figure.axes[0].set_xlabel("epoch of training")
    lines = figure.axes[0].lines
    part = html.figure(figure, "By epoch.", "Two curves rise.")
    assert "epoch of training" in Outline(part).text["text"]
    assert re.findall(r'<g data-curve="(\d)">', part) == ["0", "1"]
    assert part.count("<button") == 2
    assert ('role="img" aria-label="Two curves rise."') in part
    assert [line.get_gid() for line in lines] == [None, None]
    assert figure.axes[0].get_legend().get_visible()
    assert part == html.figure(figure, "By epoch.", "Two curves rise.")
    alone = html.figure(figure_of("alone"), "c")
    assert "<button" not in alone
    assert ">alone</text>" in alone
    assert ">attacked</text>" not in part


def test_two_figures_share_no_name():
    parts = [html.figure(figure_of("a", "b"), "1"), html.figure(figure_of("a", "b"), "2")]
    ids = [set(re.findall(r'\bid="([^"]+)"', part)) for part in parts]
    assert ids[0]
    assert not ids[0] & ids[1]
    for part, own in zip(parts, ids, strict=True):
        used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', part))
        assert used
        assert used <= own


def test_a_large_drawing_becomes_a_picture():
    figure = figure_of("a", "b")
    figure.axes[0].scatter(range(9000), range(9000))
    part = html.figure(figure, "Many.")
    assert part.count("data:image/png;base64,") == 1
    assert "<svg" not in part
    assert "<button" not in part


def test_dark_colours_follow_the_page_but_not_upon_a_map():
    figure, panels = plots.grid_of_panels(1, 1)
    panels[0, 0].imshow([[0.0, 1.0]])
    panels[0, 0].text(0, 0, "on the map", color="black")
    part = html.figure(figure, "A map.")
    assert "#000000" not in part
    assert re.search(r"fill: #010101[^>]*>on the map", part)
    assert panels[0, 0].texts[0].get_color() == "black"
