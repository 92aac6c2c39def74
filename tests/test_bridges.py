"""What leaves for another tool comes back equal: ids, labels, times, and vectors to 1e-6."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.__main__ import main
from core.catalog.feature_files import read_features
from core.catalog.formats import detect, read_source
from core.commands.exports import TARGETS
from core.domain import Catalogue, Interaction, Item
from core.errors import InputError, UnknownNameError
from core.report.bridges import BRIDGES, export, neighbours
from core.report.material import Material, Recommended

TITLES = ("1984", "a\ttab and\nbreaks", "=SUM(A1)", "", "https://example.org/lamp", 'with "quotes", commas')
VECTORS = np.random.default_rng(0).normal(size=(len(TITLES), 4)).astype(np.float32)


def picture(path: str) -> bytes:
    page = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 30, 30)).save(page, "JPEG")
    return page.getvalue()


def material(**changes) -> Material:
    items = tuple(
        Item(item_id=f"-{row}", title=title, category="Home > Lamps", media={"image": ("a.webp",)} if row else {})
        for row, title in enumerate(TITLES)
    )
    rows = (
        ("u", 0, 4.5, 1_600_000_000_000), ("u", 3, 2.0, 1_600_000_000_250), ("=v", 1, 3.0, 1_500_000_000_000)
    )  # fmt: skip
    met = tuple(
        Interaction(user_id=user, item_id=items[row].item_id, rating=stars, timestamp=moment)
        for user, row, stars, moment in rows
    )
    shop = Catalogue(name="toys", version="v", root=Path(), items=items, interactions=met)
    whole = Material(
        run="toys-run", catalogue=shop, vectors=VECTORS, split={"sha": "abc"}, labels=("train", "test", "validation"),
        present={"text": [bool(title) for title in TITLES], "image": [row > 0 for row in range(len(TITLES))]},
        lists=tuple(Recommended(user_id="u", item_id=f"-{row}", score=1.0 - row, rank=row) for row in (1, 2)),
        photo=picture,
    )  # fmt: skip
    return replace(whole, **changes)


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_target_of_the_command_is_a_bridge():
    assert tuple(BRIDGES) == TARGETS
    with pytest.raises(UnknownNameError, match="known: embedding-atlas, projector"):
        export("excel", material(), Path("x"))


def test_recbole_comes_back_with_ids_labels_ratings_times_and_vectors(tmp_path):
    written = export("recbole", material(), tmp_path / "toys")
    reading = read_source(tmp_path / "toys", "toys")
    assert detect(tmp_path / "toys") == "recbole" and written.rows == 3
    back = [(one.user_id, one.item_id, one.rating, one.timestamp, one.split) for one in reading.catalogue.interactions]
    assert back == [("u", "-0", 4.5, 1_600_000_000_000, "train"), ("u", "-3", 2.0, 1_600_000_000_250, "test"),
                    ("=v", "-1", 3.0, 1_500_000_000_000, "validation")]  # fmt: skip
    matrix, _ = read_features(tmp_path / "toys" / "toys.itememb", material().item_ids)
    assert np.abs(matrix.values - VECTORS).max() <= 1e-6
    assert "preload_weight: {iid: item_emb}" in written.lines
    assert b"\r" not in (tmp_path / "toys" / "toys.inter").read_bytes()


def test_a_rating_that_is_not_there_is_no_zero(tmp_path):
    shop = material().catalogue
    first, *rest = shop.interactions
    some = replace(shop, interactions=(replace(first, rating=None, timestamp=None), *rest))
    export("recbole", material(catalogue=some), tmp_path / "toys")
    head = (tmp_path / "toys" / "toys.inter").read_text().splitlines()[0]
    assert head == "user_id:token\titem_id:token\tlabel:token"


def test_rectools_comes_back_and_its_ranks_count_from_one(tmp_path):
    export("rectools", material(), tmp_path)
    back = read_source(tmp_path / "interactions.csv", "toys").catalogue.interactions
    before = material().catalogue.interactions
    assert [(one.item_id, one.rating, one.timestamp) for one in back] == [
        (one.item_id, one.rating, one.timestamp) for one in before
    ]
    assert [one.user_id for one in back] == ["u", "u", "=v"]  # the mark before a formula is taken off again
    assert rows(tmp_path / "recommendations.csv") == [
        ["user_id", "item_id", "score", "rank", "model"],
        ["u", "'-1", "0.0", "1", "toys-run"], ["u", "'-2", "-1.0", "2", "toys-run"],
    ]  # fmt: skip


def test_times_are_never_made_up(tmp_path):
    shop = material().catalogue
    timeless = replace(shop, interactions=tuple(replace(one, timestamp=None) for one in shop.interactions))
    written = export("rectools", material(catalogue=timeless), tmp_path)
    assert not (tmp_path / "interactions.csv").exists() and "none is made up" in written.lines[0]
    with pytest.raises(InputError, match="neither times of interactions nor lists"):
        export("rectools", material(catalogue=timeless, lists=()), tmp_path)


def test_spotlight_comes_back_without_an_address_and_with_its_pictures(tmp_path):
    export("spotlight", material(), tmp_path / "toys.parquet")
    table = pq.read_table(tmp_path / "toys.parquet").to_pydict()
    matrix, _ = read_features(tmp_path / "toys.parquet", material().item_ids)
    assert np.abs(matrix.values - VECTORS).max() <= 1e-6 and {len(one) for one in table["embedding"]} == {4}
    assert table["title"] == ["1984", "a tab and breaks", "=SUM(A1)", "-3", "", 'with "quotes", commas']
    assert table["image"][:2] == [None, "toys_media/1.jpg"]
    assert Image.open(tmp_path / table["image"][1]).format == "JPEG"
    assert "://" not in str(table)


def test_embedding_atlas_has_the_exact_neighbours_and_never_the_item_itself(tmp_path):
    places = np.arange(12, dtype=np.float32).reshape(6, 2)
    export("embedding-atlas", material(places=places, method="UMAP"), tmp_path / "toys.parquet")
    table = pq.read_table(tmp_path / "toys.parquet").to_pydict()
    assert (table["row_id"], table["x"], table["y"]) == (list(range(6)), places[:, 0].tolist(), places[:, 1].tolist())
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    for row, near in enumerate(table["neighbors"]):
        expected = sorted((1 - float(unit[row] @ unit[other]), other) for other in range(6) if other != row)
        assert near["ids"] == [other for _, other in expected]
        assert near["distances"] == pytest.approx([distance for distance, _ in expected], abs=1e-6)
    assert table["image"][0] is None and Image.open(io.BytesIO(table["image"][1]["bytes"])).format == "JPEG"


def test_a_lone_item_has_no_neighbour():
    ids, distances = neighbours(np.ones((1, 3), np.float32), 0)
    assert ids.shape == distances.shape == (1, 0)


def test_the_projector_gets_numbers_alone_and_no_blank_line(tmp_path):
    export("projector", material(), tmp_path)
    tensors = [line.split("\t") for line in (tmp_path / "tensors.tsv").read_text().splitlines()]
    assert np.abs(np.array(tensors, dtype=np.float64) - VECTORS).max() <= 1e-6
    metadata = (tmp_path / "metadata.tsv").read_text().splitlines()
    assert metadata[0] == "item_id\ttitle\tcategory" and len(metadata) == 1 + len(VECTORS)
    assert metadata[4] == "-3\t-\tHome > Lamps"


@pytest.mark.parametrize("to", ["embedding-atlas", "spotlight", "projector"])
def test_a_run_of_ids_has_no_vectors_to_show(tmp_path, to):
    with pytest.raises(InputError, match="its ranker knows ids only"):
        export(to, material(vectors=np.zeros((6, 0), np.float32)), tmp_path / "x.parquet")


@pytest.mark.parametrize(("to", "out", "sidecar"), [
    ("embedding-atlas", "t.parquet", "t.meta.json"), ("spotlight", "t.parquet", "t.meta.json"),
    ("projector", "t", "t/projector.meta.json"), ("rectools", "t", "t/rectools.meta.json"),
    ("recbole", "t", "t/t.meta.json"),
])  # fmt: skip
def test_every_export_tells_its_run_split_order_and_modalities(tmp_path, to, out, sidecar):
    export(to, material(), tmp_path / out)
    told = json.loads((tmp_path / sidecar).read_text("utf-8"))
    assert (told["run"], told["split"], told["items"]) == ("toys-run", {"sha": "abc"}, [f"-{row}" for row in range(6)])
    assert told["modalities"] == {"text": [1, 1, 1, 0, 1, 1], "image": [0, 1, 1, 1, 1, 1]}


def test_the_bundled_run_is_exported_by_one_command(tmp_path, capsys):
    out = tmp_path / "studio"
    words = ["export", "--home", str(tmp_path / "home"), "--json", "--run", "studio-default", "--to", "recbole"]
    assert main([*words, "--out", str(out)]) == 0
    answer = json.loads(capsys.readouterr().out)
    back = read_source(out, "studio")
    assert answer["path"] == str(out) and answer["rows"] == len(back.catalogue.interactions) > 0
    told = json.loads((out / "studio.meta.json").read_text("utf-8"))
    labels = [one.split for one in back.catalogue.interactions]
    assert [labels.count(part) for part in ("train", "validation", "test")] == [
        told["split"][part] for part in ("train", "validation", "test")
    ]
