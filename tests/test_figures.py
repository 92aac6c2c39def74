"""Bars and charts say the numbers they are given."""

from __future__ import annotations

import re

import pytest

from core.domain import RankedItem
from core.figures import (
    MODALITY_COLOR,
    contribution_bar,
    contributions_figure,
    no_photo,
    plain,
    shorten,
    signed,
    timing_bar,
)


def ranked(text: float, image: float, **more) -> RankedItem:
    total = abs(text) + abs(image)
    phi = {"text": text, "image": image}
    shares = {player: abs(value) / total if total else 0.0 for player, value in phi.items()}
    given = {"item_id": "a", "title": "A mug", "rank": 1, "score": text + image, "base": 0.25}
    return RankedItem(**(given | more), phi=phi, shares=shares, gates={"text": 0.5, "image": 0.5})


def widths(svg: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect x="[\d.]+" width="([\d.]+)"', svg)]


def test_a_bar_is_as_wide_as_its_share():
    gap = 1.5
    assert widths(contribution_bar(ranked(0.3, 0.1), ("text", "image"))) == [300 * 3 / 4 - gap, 300 * 1 / 4 - gap]


def test_the_colours_are_the_ones_of_the_house():
    svg = contribution_bar(ranked(0.3, 0.1), ("text", "image"))
    assert re.findall(r'fill="(#\w+)"/', svg) == ["#0072B2", "#E69F00"]
    assert MODALITY_COLOR["audio"] == "#009E73" and MODALITY_COLOR["video"] == "#CC79A7"


def test_what_pulls_the_score_down_is_hatched():
    svg = contribution_bar(ranked(0.3, -0.1), ("text", "image"))
    assert 'fill="url(#down-image)"' in svg and 'id="down-image"' in svg and "down-text" not in svg


def test_nothing_to_attribute_is_an_empty_bar():
    assert 'fill="#7F7F7F"' in contribution_bar(ranked(0.0, 0.0), ("text", "image"))
    assert widths(contribution_bar(ranked(0.0, 0.0), ())) == []


def test_steps_are_as_wide_as_their_time():
    svg = timing_bar({"read": 10.0, "encode": 80.0, "align": 5.0, "fuse": 4.0, "rank": 1.0, "total": 100.0})
    assert widths(svg) == [pytest.approx(300 * part / 100 - 0.5, abs=0.01) for part in (10, 80, 5, 4, 1)]


def test_the_chart_stacks_signed_contributions_with_the_best_on_top():
    items = [ranked(0.3, -0.1, rank=1, title="First"), ranked(0.1, 0.05, rank=2, title="Second")]
    figure = contributions_figure(items, ("text", "image")).to_dict()
    words, photo = figure["data"]
    assert list(words["y"]) == ["2. Second", "1. First"] and list(words["x"]) == [0.1, 0.3]
    assert list(photo["x"]) == [0.05, -0.1] and photo["marker"]["color"] == "#E69F00"
    assert figure["layout"]["barmode"] == "relative"
    assert "score units" in figure["layout"]["xaxis"]["title"]["text"]


def test_titles_cannot_speak_to_plotly():
    assert plain("<a href='x'>%{y}</a>") == "&lt;a href='x'&gt;%\u200b{y}&lt;/a&gt;"
    title = contributions_figure([ranked(0.1, 0.1, title="<b>%{x}</b>")], ("text",)).to_dict()["data"][0]["y"][0]
    assert "<b>" not in title and "%{" not in title


def test_pictures_without_text_are_valid_svg():
    import xml.etree.ElementTree as ElementTree

    for svg in (no_photo(), contribution_bar(ranked(0.2, -0.1), ("text", "image")), timing_bar({})):
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_a_minus_is_a_minus_and_a_long_title_is_cut():
    assert signed(-0.125, 3) == "\u22120.125" and signed(0.5) == "+0.50"
    assert shorten("abcdefghij", 5) == "abcd…" and shorten("abc", 5) == "abc"
