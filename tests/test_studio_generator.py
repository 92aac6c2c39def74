"""The Studio generator: the same seed makes the same bytes, and what it makes keeps the limits of its plan."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from sample_data.generator.check import check_files, check_folder
from sample_data.generator.reference import measure_reference
from sample_data.generator.shop import Studio, build_studio
from sample_data.generator.tables import list_shots, make_files, write_atomically
from sample_data.generator.words import expand, parse
from sample_data.generator.world import COLOURS, make_world, stream

SEED = 2


@pytest.fixture(scope="module")
def studio() -> Studio:
    return build_studio(SEED)


@pytest.fixture(scope="module")
def files(studio: Studio) -> dict[str, bytes]:
    return make_files(studio, measure_reference(studio))


@pytest.fixture(scope="module")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("studio")
    for name, content in files.items():
        write_atomically(path / name, content)
    return path


def test_a_written_folder_keeps_every_limit_and_is_made_again_byte_by_byte(folder: Path) -> None:
    # check_folder builds the shop of the folder's seed a second time and compares every file.
    broken = [finding for finding in check_folder(folder) if finding.holds is False]
    assert broken == []


def test_a_changed_byte_is_found(folder: Path, files: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in files.items():
        write_atomically(tmp_path / name, content.replace(b"s001", b"s002", 1) if name == "items.csv" else content)
    differing = check_files(tmp_path, files, json.loads(files["truth.json"]))[0]
    assert (differing.value, differing.holds) == ("items.csv", False)


def test_another_seed_makes_another_shop(studio: Studio) -> None:
    other = make_world(SEED + 1)
    assert [item.look for item in other.items] != [item.look for item in studio.world.items]
    assert [item.spec for item in other.items] != [item.spec for item in studio.world.items]
    assert [group.cold for group in other.groups] != [group.cold for group in studio.world.groups]


def test_siblings_share_the_look_or_the_spec_and_never_both(studio: Studio) -> None:
    by_id = {item.item_id: item for item in studio.world.items}
    for group in studio.world.groups:
        one, two, three, four = (by_id[name] for name in group.items)
        assert (one.look, three.look) == (two.look, four.look) and one.look != three.look
        assert (one.spec, two.spec) == (three.spec, four.spec) and one.spec != two.spec


def test_the_words_of_an_item_name_its_colour_only_where_both_looks_have_it(studio: Studio) -> None:
    by_id = {item.item_id: item for item in studio.world.items}
    for group in studio.world.groups:
        colours = {by_id[name].look.colour for name in group.items}
        assert len(colours) == (1 if group.colour_in_words else 2)
        for name in group.items:
            said = studio.copies[name].description.lower().replace(".", " ").split()
            assert (COLOURS.keys() & set(said)) == (colours if group.colour_in_words else set())


def test_every_customer_photo_hangs_on_one_review_of_its_item_by_a_user_of_its_own(files: dict[str, bytes]) -> None:
    rows = [row for row in csv.DictReader(io.StringIO(files["interactions.csv"].decode(), newline="")) if row["images"]]
    shots = [shot for shot in json.loads(files["shots.json"]) if shot["kind"] == "customer"]
    assert len(rows) == 16 * 4 * 3 + 32 * 4 * 2
    assert {row["images"]: row["item_id"] for row in rows} == {shot["file"]: shot["item_id"] for shot in shots}
    assert len({(row["user_id"], row["item_id"]) for row in rows}) == len(rows)


def test_reviews_tell_only_what_is_true_of_their_item(studio: Studio) -> None:
    for row, review in zip(studio.rows, studio.reviews, strict=True):
        spec = studio.items[row.item].spec
        assert all(spec[axis] == level for axis, level in (fact.split(":") for fact in review.read))
        if "warranty:two_years" in review.read:
            assert re.search(r"two years|24 months|twenty-four months", review.text)


def test_a_wrong_photo_shows_another_family_and_a_dead_path_is_never_rendered(studio: Studio) -> None:
    shots = {shot["file"]: shot for shot in list_shots(studio.world, studio.item_faults)}
    by_id = {item.item_id: item for item in studio.world.items}
    wrong = {file for file, shot in shots.items() if shot["look"]["family"] != by_id[shot["item_id"]].look.family}
    assert wrong == {f"photos/{name}_{'ab'[view]}.webp" for name, view in studio.item_faults.wrong_photo}
    assert (
        not {f"photos/{name}_{'ab'[view]}.webp" for name, view in studio.item_faults.dead_path.items()} & shots.keys()
    )


def test_a_frame_makes_each_choice_and_a_stray_brace_is_refused() -> None:
    assert {expand(stream(k, "test"), "{a|b {c|d}} e") for k in range(40)} == {"a e", "b c e", "b d e"}
    with pytest.raises(ValueError, match="a brace is not closed"):
        parse("{a|b")
