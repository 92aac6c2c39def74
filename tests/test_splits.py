"""Splits: what they hold, that they cannot depend on row order, the leaks they refuse, and published fingerprints."""

import csv
from pathlib import Path

import numpy as np
import pytest

from core.domain import Catalogue, Interaction, Item
from core.errors import SettingsError
from core.evaluate import metrics, splits

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shop(rows, items=None, root=Path(".")):
    """A catalogue from (user, item, rating, timestamp) rows."""
    names = items if items is not None else list(dict.fromkeys(row[1] for row in rows))
    made = tuple(item if isinstance(item, Item) else Item(item_id=item) for item in names)
    meetings = tuple(Interaction(user_id=u, item_id=i, rating=r, timestamp=t) for u, i, r, t in rows)
    return Catalogue(name="shop", version="1", root=root, items=made, interactions=meetings)


def twelve_likes(users=3):
    return shop([(f"u{u}", f"i{i}", 5.0, 1000 * i + u) for u in range(users) for i in range(12)])


def labelled(catalogue, split, label):
    return {(catalogue.interactions[row].user_id, catalogue.interactions[row].item_id) for row in split.rows(label)}


def folder(name):
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"the development data {name} are not on this machine")
    return path


def published(path):
    """An .inter file of the MMRec form as a catalogue."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    meetings = tuple(
        Interaction(
            user_id=row["userID"], item_id=row["itemID"], split=row["x_label"], rating=float(row.get("rating", 1))
        )
        for row in rows
    )
    items = tuple(Item(item_id=str(k)) for k in range(1 + max(int(row["itemID"]) for row in rows)))
    return Catalogue(name=path.stem, version="1", root=path.parent, items=items, interactions=meetings)


@pytest.fixture(scope="module")
def films():
    path = folder("movielens_dev")
    with (path / "items.csv").open(newline="", encoding="utf-8") as file:
        items = tuple(Item(item_id=row["item_id"]) for row in csv.DictReader(file))
    with (path / "interactions.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            Interaction(
                user_id=r["user_id"],
                item_id=r["item_id"],
                rating=float(r["rating"]),
                timestamp=int(r["timestamp"]) * 1000,
            )
            for r in csv.DictReader(file)
        ]
    return Catalogue(name="movielens_dev", version="1", root=path, items=items, interactions=tuple(rows))


def test_a_tenth_is_held_out_twice_and_small_users_only_train():
    catalogue = shop([("big", f"i{k}", 5.0, k) for k in range(25)] + [("small", "i0", 5.0, 0), ("small", "i1", 5.0, 1)])
    split = splits.per_user_random(catalogue)
    assert (split.fingerprint.test, split.fingerprint.validation) == (25 // 10, 25 // 10)
    assert {user for user, _ in labelled(catalogue, split, "test")} == {"big"}


@pytest.mark.parametrize("make", [splits.per_user_random, splits.leave_last, splits.global_time, splits.item_cold])
def test_row_order_does_not_change_a_split(make):
    catalogue = twelve_likes()
    mixed = [catalogue.interactions[k] for k in np.random.default_rng(1).permutation(len(catalogue.interactions))]
    turned = Catalogue(name="shop", version="1", root=Path("."), items=catalogue.items, interactions=tuple(mixed))
    assert make(catalogue).fingerprint == make(turned).fingerprint


def test_another_seed_is_another_split_and_another_fingerprint():
    first, second = splits.per_user_random(twelve_likes(), seed=0), splits.per_user_random(twelve_likes(), seed=1)
    assert first.fingerprint.rows == second.fingerprint.rows
    assert first.fingerprint.sha != second.fingerprint.sha


def test_the_last_row_is_tested_and_the_one_before_validates():
    catalogue = shop([("u", "a", 5.0, 30), ("u", "b", 5.0, 10), ("u", "c", 5.0, 20), ("u", "d", 1.0, 99)])
    split = splits.leave_last(catalogue)
    assert split.labels == ("test", "train", "validation", "")
    assert split.notes == ()


def test_equal_last_times_are_told():
    split = splits.leave_last(shop([("u", "a", 5.0, 10), ("u", "b", 5.0, 20), ("u", "c", 5.0, 20)]))
    assert split.labels[2] == "test"
    assert split.notes == ("1 of 1 users have their last two rows at the same time: file order decides there",)


def test_time_borders_are_quantiles_and_belong_to_the_later_part():
    catalogue = shop([(f"u{k}", "a", 5.0, k) for k in range(11)])
    split = splits.global_time(catalogue)
    assert split.borders == (8.0, 9.0)
    assert [split.labels[k] for k in (7, 8, 9, 10)] == ["train", "validation", "test", "test"]


def test_a_fifth_of_the_items_loses_every_training_row():
    catalogue = twelve_likes()
    split = splits.item_cold(catalogue)
    cold = {item for label in ("test", "validation") for _, item in labelled(catalogue, split, label)}
    assert len(cold) == 12 // 5
    assert not cold & {item for _, item in labelled(catalogue, split, "train")}
    assert len({item for _, item in labelled(catalogue, split, "test")}) == (12 // 5) // 2


def test_the_studio_holds_out_the_latest_likes_and_every_cold_row():
    rows = [("u", f"i{k}", 4.0 if k != 3 else 2.0, k) for k in range(8)] + [("few", f"i{k}", 5.0, k) for k in range(4)]
    catalogue = shop(rows)
    split = splits.studio_split(catalogue, {"i7"}, seed=0)
    assert labelled(catalogue, split, "cold") == {("u", "i7")}
    assert labelled(catalogue, split, "test") == {("u", "i5"), ("u", "i6")}
    assert labelled(catalogue, split, "validation") == {("u", "i4")}
    assert {item for user, item in labelled(catalogue, split, "train") if user == "u"} == {"i0", "i1", "i2", "i3"}
    assert {item for user, item in labelled(catalogue, split, "train") if user == "few"} == {"i0", "i1", "i2", "i3"}


def test_a_long_history_gives_a_tenth_to_the_test():
    catalogue = shop([("u", f"i{k}", 5.0, k) for k in range(40)])
    split = splits.studio_split(catalogue, set(), seed=0)
    assert (split.fingerprint.test, split.fingerprint.validation) == (40 // 10, 1)


def test_equal_times_in_the_studio_follow_the_seed_not_the_file():
    rows = [("u", f"i{k}", 5.0, 7) for k in range(12)]
    forward, backward = splits.studio_split(shop(rows), set()), splits.studio_split(shop(rows[::-1]), set())
    assert labelled(shop(rows), forward, "test") == labelled(shop(rows[::-1]), backward, "test")


def test_a_cold_item_that_nobody_sells_is_refused():
    with pytest.raises(SettingsError, match="1 cold items are not in shop, for example ghost"):
        splits.studio_split(twelve_likes(), {"ghost"})


def test_time_splits_refuse_rows_without_a_time():
    with pytest.raises(SettingsError, match="interaction 1 has no timestamp"):
        splits.leave_last(shop([("u", "a", 5.0, None)]))


@pytest.mark.parametrize(
    ("ratings", "liked"),
    [
        ([None, None], [True, True]),
        ([0.0, 1.0], [False, True]),
        ([3.0, 3.5], [False, True]),
        ([None, 5.0], [False, True]),
    ],
)
def test_liked_depends_on_the_scale(ratings, liked):
    rows = [("u", f"i{k}", rating, k) for k, rating in enumerate(ratings)]
    assert splits.positive_rows(shop(rows)).tolist() == liked


def test_an_unknown_scale_asks_for_a_threshold():
    catalogue = shop([("u", "a", 8.0, 1)])
    with pytest.raises(SettingsError, match="ratings go up to 8"):
        splits.positive_rows(catalogue)
    assert splits.positive_rows(catalogue, threshold=7).tolist() == [True]


def test_a_label_nobody_knows_is_refused():
    catalogue = Catalogue(
        name="shop", version="1", root=Path("."), items=(Item(item_id="a"),),
        interactions=(Interaction(user_id="u", item_id="a", split="holdout"),),
    )  # fmt: skip
    with pytest.raises(SettingsError, match='split "holdout" is not known'):
        splits.label_column(catalogue)


def test_folds_are_disjoint_even_and_the_same_every_time():
    folds = splits.item_folds([f"i{k}" for k in range(23)])
    assert sorted(list(folds.values()).count(fold) for fold in range(5)) == [4, 4, 5, 5, 5]
    assert folds == splits.item_folds([f"i{k}" for k in reversed(range(23))])


def test_a_pair_in_two_parts_is_a_leak():
    catalogue = shop([("u", "a", 5.0, 1), ("u", "a", 5.0, 2), ("u", "b", 5.0, 3)])
    with pytest.raises(SettingsError, match="user u and item a are in train and validation"):
        splits.check_leaks(catalogue, splits.leave_last(catalogue))


def test_a_training_row_after_the_border_is_a_leak():
    catalogue = shop([("u", "a", 5.0, 1), ("v", "a", 5.0, 2)])
    made = splits.global_time(catalogue, borders=(5, 9))
    late = splits.Split(name="bent", seed=None, labels=made.labels, fingerprint=made.fingerprint, borders=(2, 9))
    with pytest.raises(SettingsError, match="interaction 2 is in train but later"):
        splits.check_leaks(catalogue, late)


def test_a_held_out_review_in_features_is_a_leak():
    catalogue = twelve_likes()
    split = splits.leave_last(catalogue)
    assert splits.check_leaks(catalogue, split, text_rows=split.rows("train")) == ()
    with pytest.raises(SettingsError, match="1 held-out reviews are in features"):
        splits.check_leaks(catalogue, split, text_rows=split.rows("test")[:1])


def test_fitting_on_a_cold_item_is_a_leak():
    catalogue = twelve_likes()
    split = splits.item_cold(catalogue)
    cold = {item for _, item in labelled(catalogue, split, "test")}
    with pytest.raises(SettingsError, match="cold items were fitted on"):
        splits.check_leaks(catalogue, split, fitted_items=cold)


def test_a_photo_shared_by_a_trained_and_a_cold_item_is_a_warning(tmp_path):
    for name in ("same1.jpg", "same2.jpg"):
        (tmp_path / name).write_bytes(b"one picture")
    items = [
        Item(item_id="warm", media={"image": ("same1.jpg",)}),
        Item(item_id="new", media={"image": ("same2.jpg",)}),
    ]
    catalogue = shop([("u", "warm", 5.0, 1), ("u", "new", 5.0, 2)], items, tmp_path)
    (notice,) = splits.check_leaks(catalogue, splits.studio_split(catalogue, {"new"}))
    assert notice.message == "new is held out but has a file of warm; split by group"


def test_few_test_users_are_cautioned_and_very_few_refused_a_headline():
    few, some, many = (splits.leave_last(twelve_likes(users)).fingerprint for users in (29, 99, 100))
    assert "too few for a headline" in few.caution
    assert "mostly noise" in some.caution
    assert many.caution == ""


@pytest.mark.parametrize(
    ("path", "sha", "counts"),
    [
        ("amazon_sports/amazon_sports.inter", "35694257d7020ccb", (35598, 18357, 218409, 40029, 37899, 13)),
        ("lfm2k/lfm2k.inter", "ab57f78716156a4c", (1858, 1425, 44327, 4799, 7219, None)),
    ],
)
def test_a_published_split_has_the_published_fingerprint(path, sha, counts):
    folder(path.split("/")[0])
    made = splits.label_column(published(DATA / path)).fingerprint
    assert made.sha == sha
    assert (made.users, made.items, made.train, made.validation, made.test) == counts[:5]
    assert counts[5] in (None, made.items_without_training)


@pytest.mark.parametrize(
    ("make", "sha", "counts"),
    [
        (lambda films: splits.per_user_random(films), "60e431d89e1719d8", (5991, 714, 714)),
        (lambda films: splits.leave_last(films), "8ace8e8edb5a9822", (6435, 492, 492)),
        (
            lambda films: splits.per_user_random(films, rows=splits.rated_rows(films)),
            "8bdb39fd09ef8d75",
            (10281, 1190, 1190),
        ),
    ],
)
def test_the_films_split_as_published(films, make, sha, counts):
    made = make(films).fingerprint
    assert made.sha == sha
    assert (made.train, made.validation, made.test) == counts


def seen_and_held(catalogue, split):
    """Training and test rows as two (users, items) tables, users sorted by name."""
    users = {name: k for k, name in enumerate(sorted({row.user_id for row in catalogue.interactions}))}
    items = catalogue.position()
    tables = []
    for label in ("train", "test"):
        table = np.zeros((len(users), len(items)), dtype=bool)
        for row in split.rows(label):
            table[users[catalogue.interactions[row].user_id], items[catalogue.interactions[row].item_id]] = True
        tables.append(table)
    return tables


def item_neighbours(train):
    """Scores (U, N): summed cosine c_ij / sqrt(c_i c_j) of the history to every item, over all neighbours."""
    seen = train.astype(float)
    together, counts = seen.T @ seen, seen.sum(0)
    near = together / np.sqrt(np.maximum(np.outer(counts, counts), 1))
    np.fill_diagonal(near, 0)
    return seen @ near


@pytest.mark.parametrize(
    ("make", "model", "floors"),
    [
        (splits.per_user_random, "popularity", (0.4277, 0.2675, 0.5601, 0.3031, 0.9319)),
        (splits.leave_last, "popularity", (0.3008, 0.1445, 0.4472, 0.1814, 0.9037)),
        (splits.per_user_random, "neighbours", (0.4741, 0.2969, 0.6092, 0.3341, 0.9351)),
        (splits.leave_last, "neighbours", (0.3435, 0.1736, 0.4715, 0.2060, 0.9094)),
    ],
)
@pytest.mark.filterwarnings("ignore::core.evaluate.metrics.TieWarning")
def test_the_floors_of_the_films_come_out_as_published(films, make, model, floors):
    split = make(films)
    train, test = seen_and_held(films, split)
    popularity = np.broadcast_to(train.sum(0).astype(float), train.shape)
    scores = popularity if model == "popularity" else item_neighbours(train)
    values = metrics.average(metrics.rank_metrics(scores, test, train, ks=(10, 20)))
    assert split.fingerprint.tested_users == 492
    names = ("recall@10", "ndcg@10", "recall@20", "ndcg@20", "auc")
    assert [values[name] for name in names] == pytest.approx(floors, abs=0.0005)
