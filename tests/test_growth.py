"""The growth figure: slopes of series whose growth is known, and what is drawn of them."""

import math
import xml.etree.ElementTree as ElementTree

import pytest

from bench.growth import SLACK, STAGES, figure, slope, table, verdict

SIZES = [1_000, 3_000, 10_000, 30_000, 100_000]


@pytest.mark.parametrize(("power", "start"), [(0.0, 0.03), (1.0, 0.0), (1.0, 0.5), (2.0, 0.0)])
def test_the_slope_of_a_known_growth_is_found_beside_what_is_constant(power, start):
    times = [start + 1e-3 * (size / 1_000) ** power for size in SIZES]
    assert slope(SIZES, times) == pytest.approx(power, abs=0.02)


def test_a_slope_over_what_is_allowed_is_told_and_two_sizes_give_none():
    assert verdict("query", SIZES, [1e-6 * size**1.3 for size in SIZES])[1] == "OVER"
    assert verdict("query", SIZES, [1e-6 * size ** (1.0 + SLACK / 2) for size in SIZES])[1] == "within"
    assert math.isnan(slope(SIZES[:2], [1.0, 2.0]))


def test_table_and_figure_hold_every_stage_and_size():
    row = {"seconds": 0.25, "peak MiB": 500.0, "server MiB": 200.0}
    found = {stage: {str(size): row for size in SIZES} for stage in STAGES}
    text = "\n".join(table(found))
    assert all(about in text for _, about, _, _ in STAGES.values()) and "100,000" in text and "250 ms" in text
    drawn = ElementTree.fromstring(figure(found))
    assert sum(one.tag.endswith("circle") for one in drawn.iter()) == len(STAGES) * len(SIZES)
