"""Forget: after it, nothing in the workspace knows the person or the item, and everybody else is as they were."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import core.importing
from core.catalog.forgotten import follow, remaining
from core.domain import Catalogue, Interaction, Item, Query
from core.encode.cache import VectorStore
from core.encode.states import States
from core.errors import AddressError, InputError
from core.features import contents_of, parts_of
from core.files import digest_bytes, digest_file, write_atomic
from core.people import annotations_of, put_label
from core.pipeline import Pipeline
from core.privacy import forget, marked_runs, traces
from core.store.values import CaseRef
from core.workspace import Workspace
from tests.test_workspace import paint

ANNA, BEN, CARA = "anna-canary-4711", "ben-canary-4712", "cara-canary-4713"
ITEM = "lamp-canary-0815"


def write_shop(folder: Path) -> Path:
    """Three items, a photo each; Anna and Ben with photos of their own, the refusal of an unknown item names Anna."""
    (folder / "photos").mkdir(parents=True)
    for n, name in enumerate(("a", "b", "c", "anna", "ben")):
        (folder / "photos" / f"{name}.png").write_bytes(paint((40 * n, 90, 250 - 40 * n)))
    (folder / "items.csv").write_text(
        "item_id,title,description,images\r\n"
        f"{ITEM},Lamp,A lamp with a canary,photos/a.png\r\n"
        "mug-1,Mug,A mug,photos/b.png\r\n"
        "bowl-1,Bowl,A bowl,photos/c.png\r\n"
    )
    (folder / "interactions.csv").write_text(
        "user_id,item_id,rating,review_text,images\r\n"
        f"{ANNA},{ITEM},5,The canary of Anna sings,photos/anna.png\r\n"
        f"{ANNA},mug-1,4,Anna drinks her tea. It keeps warm for Anna,\r\n"
        f"{BEN},{ITEM},4,Ben reads beside it,photos/ben.png\r\n"
        f"{BEN},bowl-1,3,A bowl for Ben,\r\n"
        f"{CARA},bowl-1,3,A bowl for Cara,\r\n"
        f"{ANNA},gone-99,3,Nobody sells this,\r\n"
    )
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An imported shop with everything that grows around it: a run, vectors, cases, maps, questions, labels, logs."""
    monkeypatch.setattr(core.importing, "_encoded", lambda workspace, catalogue, tell: 0)
    monkeypatch.setattr(core.importing, "_trained", lambda _w, catalogue, folder, tell: write_run(folder, catalogue))
    made = Workspace.open(tmp_path / "home")
    made.import_folder(write_shop(tmp_path / "shop"), "shop")
    catalogue = made.catalogue("shop")
    states = VectorStore(made.vectors, "text-toy")
    sentences, _ = contents_of(catalogue, catalogue.interactions, "text")
    assert len(sentences) > len(catalogue.items) + len(catalogue.interactions)  # some texts have more than one
    states.put({key: state_of(sentence) for key, sentence in sentences.items()})
    photos = {path for one in (*catalogue.items, *catalogue.interactions) for path in one.media.get("image", ())}
    pictures = VectorStore(made.vectors, "image-toy")
    pictures.put({digest_bytes(made.media("shop", path)): state_of(path) for path in photos})
    for path in photos:
        made.thumbnail("shop", path)
    write_atomic(made.vectors / "items" / "abc" / f"items-{catalogue.version[:16]}.safetensors", b"vectors of items")
    write_atomic(made.home / "cases" / "shop-content" / "x.parquet", made.user_key(ANNA).encode() + ITEM.encode())
    write_atomic(made.home / "maps" / "abc" / "map.json", json.dumps({"item_ids": [ITEM]}).encode())
    write_atomic(made.home / "jobs" / "1.log", f"reading\n{ANNA} bought {ITEM}\ndone\n".encode())
    write_atomic(made.home / "backups" / "old.sqlite", made.user_key(ANNA).encode())
    for user in (ANNA, BEN):
        key = made.user_key(user)
        made.save_query(
            Query.of(text=f"asked by {user[:4]}", images=(paint((9, len(user), 77)),), user=key), "shop-content"
        )
        ref = CaseRef(key=digest_bytes(user.encode())[:16], user=key, item=ITEM)
        put_label(made, "shop", [ref], "Dora", "wrong photo")
    made.save_query(Query.of(text="The canary of Anna sings"), "shop-content")
    return made


def state_of(seed: str) -> States:
    rng = np.random.default_rng(abs(hash(seed)) % 2**32)
    return States(tokens=rng.random((3, 8)).astype(np.float16), pooled=rng.random(8).astype(np.float16))


def write_run(folder: Path, catalogue: Catalogue) -> Path:
    """A run whose users, items and histories are the catalogue's own."""
    users = sorted({one.user_id for one in catalogue.interactions})
    position = catalogue.position()
    rows = [[(position[one.item_id], one.rating or -1.0) for one in catalogue.interactions if one.user_id == user]
            for user in users]  # fmt: skip
    history = save({
        "length": np.array([len(own) for own in rows], dtype=np.int32),
        "item": np.array([item for own in rows for item, _ in own], dtype=np.int32),
        "rating": np.array([rating for own in rows for _, rating in own], dtype=np.float32),
    })  # fmt: skip
    write_atomic(folder / "history.safetensors", history)
    write_atomic(folder / "model.safetensors", b"weights")
    write_atomic(folder / "measured.safetensors", json.dumps(users).encode())
    write_atomic(folder / f"items-{catalogue.version[:16]}.safetensors", b"vectors")
    told = {
        "run": folder.name, "format": 1, "metrics": {}, "users": users,
        "items": [one.item_id for one in catalogue.items],
        "settings": {"catalogue": catalogue.name, "align": "projection", "fuse": "weighted", "rank": "content"},
        "digests": {path.name: digest_file(path) for path in folder.iterdir()},
    }  # fmt: skip
    write_atomic(folder / "run.json", json.dumps(told).encode())
    return folder


def found(workspace: Workspace, *needles: str) -> list[str]:
    """Files of the workspace, tombstones' key aside, whose bytes or name hold one of these; nothing is skipped."""
    hits = []
    for path in workspace.home.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        hits += [f"{path.name}: {n}" for n in needles if n.encode() in data or n in path.as_posix()]
    return hits


def digests_of(workspace: Workspace, things: list[Item | Interaction]) -> list[str]:
    paths = [path for one in things for path in one.media.get("image", ())]
    texts = [digest_bytes(sentence.encode()) for one in things for sentence in parts_of(one, "text")]
    return [digest_bytes(workspace.media("shop", path)) for path in paths] + texts


def test_a_forgotten_user_leaves_no_trace_and_nobody_else_loses_anything(workspace: Workspace) -> None:
    before = workspace.catalogue("shop")
    key = workspace.user_key(ANNA)
    theirs = [one for one in before.interactions if one.user_id == key]
    needles = [ANNA, key, *digests_of(workspace, theirs), "canary of Anna", "Anna drinks"]
    assert len(found(workspace, *needles)) > 10

    told = forget(workspace, "shop", user=ANNA)

    assert found(workspace, *needles) == []
    assert told.left == ()
    assert told.runs == ("shop-content",)
    after = workspace.catalogue("shop")
    assert after.items == before.items
    assert after.interactions == tuple(one for one in before.interactions if one.user_id != key)
    assert after.version != before.version
    assert [one.author for one in annotations_of(workspace, "shop")] == ["Dora"]
    history = load((workspace.home / "runs" / "shop-content" / "history.safetensors").read_bytes())
    assert sorted(history["length"].tolist()) == [0, 1, 2]  # Anna's two rows are gone, Ben keeps two, Cara one
    told_run = json.loads((workspace.run_folder("shop-content") / "run.json").read_text())
    assert sorted(told_run["users"]) == sorted(["forgotten", workspace.user_key(BEN), workspace.user_key(CARA)])


def test_their_questions_go_though_other_rules_cleaned_them_and_so_do_those_that_hold_their_photo(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = workspace.user_key(ANNA)
    [photo] = [path for one in workspace.catalogue("shop").interactions if one.user_id == key
               for path in one.media.get("image", ())]  # fmt: skip
    monkeypatch.setenv("FUSESCOPE_MASK_NAMES", "Anna")
    masked = workspace.save_query(Query.of(text="The canary of Anna sings"), "shop-content")
    assert workspace.query(masked)[0].text == "The canary of [name] sings"
    pictured = workspace.save_query(
        Query.of(text="one like this", images=(workspace.media("shop", photo),)), "shop-content"
    )
    other = workspace.save_query(Query.of(text="another", images=(paint((1, 2, 3)),)), "shop-content")
    forget(workspace, "shop", user=ANNA)
    for gone in (masked, pictured):
        with pytest.raises(AddressError, match="no query has this link"):
            workspace.query(gone)
    assert workspace.query(other)


def test_a_forgotten_item_takes_everything_said_about_it_along(workspace: Workspace) -> None:
    before = workspace.catalogue("shop")
    theirs: list[Item | Interaction] = [one for one in before.items if one.item_id == ITEM]
    theirs += [one for one in before.interactions if one.item_id == ITEM]
    needles = [ITEM, *digests_of(workspace, theirs), "lamp with a canary", "Ben reads beside it"]

    told = forget(workspace, "shop", item=ITEM)

    assert found(workspace, *needles) == []
    assert told.rows == 1 + 2 + 2 + 1  # the item, its two reviews, two labelled cases, a question with its review
    after = workspace.catalogue("shop")
    assert [one.item_id for one in after.items] == ["mug-1", "bowl-1"]
    history = load((workspace.home / "runs" / "shop-content" / "history.safetensors").read_bytes())
    assert sorted(history["item"].tolist()) == [0, 1, 1]  # mug and bowls moved up one row


def test_vectors_are_overwritten_not_only_unlisted(workspace: Workspace) -> None:
    store = VectorStore(workspace.vectors, "text-toy")
    key = digest_bytes(b"Anna drinks her tea.")
    [state] = store.get([key]).values()
    bytes_of = state.tokens.tobytes()
    assert bytes_of in store.data.read_bytes()
    forget(workspace, "shop", user=ANNA)
    assert store.get([key]) == {}
    assert bytes_of not in store.data.read_bytes()
    assert len(store.get([digest_bytes(b"A bowl for Ben")])) == 1


def test_the_database_file_itself_holds_no_deleted_page(workspace: Workspace) -> None:
    forget(workspace, "shop", user=ANNA)
    place = workspace.home / "fusescope.sqlite"
    assert workspace.user_key(ANNA).encode() not in place.read_bytes()
    with sqlite3.connect(place) as kept:
        assert kept.execute("SELECT count(*) FROM interactions").fetchone() == (3,)


def test_a_run_that_learned_from_them_is_marked_and_a_later_one_is_not(workspace: Workspace) -> None:
    assert marked_runs(workspace) == {}
    forget(workspace, "shop", user=ANNA)
    assert list(marked_runs(workspace)) == ["shop-content"]


def test_forgetting_twice_is_safe_and_a_stranger_is_refused(workspace: Workspace) -> None:
    forget(workspace, "shop", user=ANNA)
    assert forget(workspace, "shop", user=ANNA).left == ()
    with pytest.raises(InputError, match='knows no user "nobody"'):
        forget(workspace, "shop", user="nobody")
    with pytest.raises(InputError, match="exactly one"):
        forget(workspace, "shop", user=ANNA, item=ITEM)


def test_a_photo_that_somebody_else_uses_too_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.importing, "_encoded", lambda workspace, catalogue, tell: 0)
    monkeypatch.setattr(core.importing, "_trained", lambda _w, catalogue, folder, tell: write_run(folder, catalogue))
    shop = write_shop(tmp_path / "shop")
    (shop / "photos" / "ben.png").write_bytes((shop / "photos" / "anna.png").read_bytes())
    made = Workspace.open(tmp_path / "home")
    made.import_folder(shop, "shop")
    forget(made, "shop", user=ANNA)
    [row] = [one for one in made.catalogue("shop").interactions if one.media]
    assert made.media("shop", row.media["image"][0])


# ---- what cannot be written: the bundled catalogue


def test_the_read_only_sample_hides_what_was_forgotten_behind_a_keyed_tombstone(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "home")
    before = workspace.catalogue("studio")
    user = before.interactions[0].user_id
    told = forget(workspace, "studio", user=user)
    after = workspace.catalogue("studio")
    assert told.rows == sum(one.user_id == user for one in before.interactions)
    assert all(one.user_id != user for one in after.interactions)
    assert after.version != before.version
    assert told.left == ()
    assert list(traces(workspace, [user], [])) == []
    again = Workspace.open(tmp_path / "home")  # another process
    assert again.catalogue("studio").version == after.version


def toy(gone: tuple[str, ...] = ()) -> Catalogue:
    items = tuple(Item(item_id=f"i{n}") for n in range(4))
    met = tuple(Interaction(user_id=f"u{n % 2}", item_id=f"i{n}") for n in range(4))
    whole = Catalogue(name="toy", version="v", root=Path(), items=items, interactions=met)
    return remaining(whole, lambda kind, ident: ident in gone)


def test_rows_of_a_history_follow_the_items_that_moved_up() -> None:
    after = toy(("i1",))
    assert (after.gone, [one.item_id for one in after.items]) == ((1,), ["i0", "i2", "i3"])
    assert follow([(0, 5.0), (1, 4.0), (3, None)], after.gone) == [(0, 5.0), (2, None)]


def test_nothing_forgotten_is_the_very_same_catalogue() -> None:
    assert toy() == toy(("stranger",))
    assert toy().version == "v"


def test_a_forgotten_user_is_unknown_to_the_bundled_run(tmp_path: Path) -> None:
    run = Path(__file__).resolve().parents[1] / "sample_data" / "runs" / "studio-default"
    told = json.loads((run / "run.json").read_text())
    workspace = Workspace.open(tmp_path / "home")
    user = told["users"][0]
    forget(workspace, "studio", user=user)
    from core.model import Coalitions

    nothing = Coalitions(vectors=np.zeros(0), gates=np.zeros(0))  # type: ignore[arg-type]
    pipeline = Pipeline(told, None, workspace.catalogue("studio"), nothing, "cpu")  # type: ignore[arg-type]
    assert user not in pipeline.user_rows
    assert len(pipeline.user_rows) == len(told["users"]) - 1
    with pytest.raises(InputError, match="no training rows"):
        pipeline.user_row(user)
