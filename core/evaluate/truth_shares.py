"""Measured against planted, where a catalogue's truth ships with it: shares of looks, words that name what a user cares
about, and the strongest patch on the product."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.catalog.photos import read_image
from core.domain import LIKED, Interaction, Modality, Query
from core.errors import InputError
from core.evaluate.audit import Fuse
from core.evaluate.measure import HELD
from core.evaluate.protocols import split_of
from core.evaluate.significance import bootstrap, paired, unpaired
from core.evaluate.splits import TRAIN, Split
from core.evaluate.trust import contents_of
from core.evaluate.truth import feature_of, heard_feature, planted_truth
from core.explain.attribution import DEFAULT, attribute
from core.explain.faithfulness import correlation
from core.explain.shapley import shapley, shares
from core.features import Features, Media, catalogue_features, parts_of
from core.pipeline import Pipeline, open_pipeline
from core.rank.multimodal import History
from core.scoring import case_scorer, item_contents

if TYPE_CHECKING:
    from core.workspace import Workspace

CARES = 0.5  # size of a planted taste from which a user cares
NAMES = 0.9  # share of the texts with a word that must have the level it names
SEEN = 5  # texts that a word must be in before it can name anything
DRAWS = 12  # products that stand where a modality is taken away
WORDS = 3  # strongest words that are looked at
TELLS: Mapping[Modality, str] = {"text": "read", "image": "look", "video": "look", "audio": "heard"}
NO_WORDS: dict[str, Any] = {"precision@3": None, "cases": 0}
Truth = Mapping[str, Any]


def measured_truth(
    workspace: Workspace, run: str, *, cases: int = 400, seed: int = 0, method: str = DEFAULT
) -> dict[str, Any]:
    """`shares`, `words`, `words_of_product`, `pointing`; see the functions below.

    Raises InputError where no truth ships.
    """
    pipeline = open_pipeline(workspace, run)
    truth = planted_truth(pipeline.catalogue)
    if truth is None:
        raise InputError(
            "E-INPUT-VALUE", f"no truth ships with catalogue {pipeline.catalogue.name}; nothing to measure."
        )
    split = split_of(pipeline)
    features = catalogue_features(
        pipeline.catalogue, pipeline.settings, workspace.vectors, modalities=pipeline.model.modalities
    )
    return {
        "shares": share_agreement(pipeline, features, split, truth),
        "words": words_named(pipeline, features, split, truth, cases, seed, method),
        "words_of_product": words_named(pipeline, features, split, truth, cases, seed, method, scope="item"),
        "pointing": pointing(pipeline, features, split, truth, method),
    }


# ---- shares


def share_agreement(pipeline: Pipeline, features: Features, split: Split, truth: Truth) -> dict[str, Any]:
    """Rank correlation over users between the planted share of a sense and the measured share of the modality that
    tells it: the mean item-scope share over that user's held-out likes.

    `spearman` and what stands beside it: the photo and looks; `modalities`: the same of every modality of the run, with
    the mean share. `spearman`: a modality taken away is absent; `others_spearman`: it becomes another product's, a mean
    over `DRAWS` of them. `oracle_spearman`: what a ridge regression on the true attributes of all the senses reaches
    from the same ratings. `segments`: see `segment_shares`."""
    held, modalities = held_likes(pipeline, split), pipeline.model.modalities
    users = [user for user in held if user in truth["users"] and user in pipeline.user_rows]
    if "known user" not in pipeline.model.ranker.cases or "image" not in modalities or len(users) < 20:
        return {"spearman": None, "oracle_spearman": None, "users": len(users)}
    measured = np.array([measured_shares(pipeline, user, held[user]) for user in users])  # (U, M)
    against_others = shares_against_others(pipeline, features, users, held)  # (U, M)
    oracle = oracle_shares(pipeline, split, truth, users, held)
    found = {}
    for row, m in enumerate(modalities):
        if TELLS[m] not in oracle:
            continue
        planted = np.array([truth["users"][user].get(f"share_{TELLS[m]}", 0.0) for user in users])
        ours, best = correlation(planted, measured[:, row]), correlation(planted, oracle[TELLS[m]])
        found[m] = {
            "sense": TELLS[m], "mean": float(measured[:, row].mean()), "planted_mean": float(planted.mean()),
            "spearman": ours, "spearman_interval": rank_interval(planted, measured[:, row]),
            "others_spearman": correlation(planted, against_others[:, row]), "oracle_spearman": best,
            "of_oracle": ours / best,
        }  # fmt: skip
    photo = {name: value for name, value in found["image"].items() if name not in ("sense", "mean", "planted_mean")}
    segments = [str(truth["users"][user].get("segment", "")) for user in users]
    by_segment = segment_shares(segments, modalities, measured)
    return {**photo, "users": len(users), "modalities": found, "segments": by_segment}


def segment_shares(
    segments: Sequence[str], modalities: Sequence[Modality], measured: NDArray[np.float64]
) -> dict[str, Any]:
    """segment -> users and, per modality, the mean share (0 to 1) of its users and `over_others`: by how much that is
    above the mean of all other users. measured (U, M). 95 % intervals by bootstrap over users. Empty where everybody is
    in one segment."""
    names = np.asarray(segments)
    if len(set(segments)) < 2:
        return {}
    found: dict[str, Any] = {}
    for name in sorted(set(segments)):
        inside = names == name
        found[name] = {"users": int(inside.sum())} | {
            m: {
                **asdict(bootstrap(measured[inside, row])),
                "over_others": asdict(unpaired(measured[inside, row], measured[~inside, row])),
            }
            for row, m in enumerate(modalities)
        }
    return found


def held_likes(pipeline: Pipeline, split: Split) -> dict[str, list[int]]:
    position, held = pipeline.catalogue.position(), defaultdict(list)
    for row, label in zip(pipeline.catalogue.interactions, split.labels, strict=True):
        if label in HELD["test"] and (row.rating is None or row.rating >= LIKED):
            held[row.user_id].append(position[row.item_id])
    return held


def measured_shares(pipeline: Pipeline, user: str, items: Sequence[int]) -> NDArray[np.float64]:
    """(M,) mean over these items."""
    phi = shapley(pipeline.rank(Query(user=user), None)[:, items])  # (M, held)
    return shares(phi).mean(1)


def shares_against_others(
    pipeline: Pipeline, features: Features, users: Sequence[str], held: Mapping[str, Sequence[int]]
) -> NDArray[np.float64]:
    """(U, M) the same with other products' media as the baseline: v(S) = mean over draws of the score of the item with
    the modalities in S and the drawn product's otherwise."""
    fuse, modalities = Fuse(pipeline, features), pipeline.model.modalities
    drawn = np.random.default_rng(0).permutation(len(features.items))[:DRAWS]
    history = History.of([pipeline.history(user) for user in users], [pipeline.user_row(user) for user in users])
    history, met = history.to(pipeline.device), pipeline.items.vectors[-1]
    values = np.zeros((1 << len(modalities), len(users), len(features.items)))
    for row in range(len(values)):
        for other in drawn:
            mixed = [
                {m: (own if row >> bit & 1 else features.items[other]).get(m, ()) for bit, m in enumerate(modalities)}
                for own in features.items
            ]
            with torch.inference_mode():
                scores = pipeline.model.ranker.score_users(history, fuse(mixed), pipeline.known, met)
            values[row] += scores.double().cpu().numpy() / len(drawn)
    found = shares(shapley(values))  # (M, U, N)
    return np.array([found[:, row, list(held[user])].mean(1) for row, user in enumerate(users)])


def oracle_shares(
    pipeline: Pipeline, split: Split, truth: Truth, users: Sequence[str], held: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[np.float64]]:
    """sense -> (U,) share of its attributes in a ridge regression of each user's training ratings on all the true
    attributes."""
    from sklearn.linear_model import RidgeCV

    blocks = true_attributes(truth, [item.item_id for item in pipeline.catalogue.items])
    table = np.concatenate(list(blocks.values()), 1)
    table, borders = table - table.mean(0), np.cumsum([block.shape[1] for block in blocks.values()])[:-1]
    position, rated = pipeline.catalogue.position(), defaultdict(list)
    for row, label in zip(pipeline.catalogue.interactions, split.labels, strict=True):
        if label == TRAIN and row.rating is not None:
            rated[row.user_id].append((position[row.item_id], row.rating))
    found = []
    for user in users:
        rows, stars = (list(one) for one in zip(*rated[user], strict=True))
        weights = RidgeCV(np.logspace(-1, 3, 9)).fit(table[rows], stars).coef_
        parts = np.split(table[list(held[user])] * weights, borders, axis=1)
        found.append(shares(np.stack([part.sum(1) for part in parts])).mean(1))
    return dict(zip(blocks, np.array(found).T, strict=True))


def true_attributes(truth: Truth, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """sense -> (N, F) what is planted in the products; a sense that the truth does not know is left out."""
    vocabulary, known = truth["vocabulary"], [truth["items"][one] for one in ids]
    pairs = [name.split(":") for name in vocabulary["read_features"]]
    blocks = {
        "look": [[feature_of(item, name) for name in vocabulary["look_features"]] for item in known],
        "read": [[float(item["read"][axis] == level) for axis, level in pairs] for item in known],
        "heard": [[heard_feature(item, name) for name in vocabulary.get("heard_features", ())] for item in known],
    }
    return {sense: np.array(rows) for sense, rows in blocks.items() if rows[0]}


def rank_interval(planted: NDArray[np.float64], measured: NDArray[np.float64]) -> list[float]:
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(planted), (1000, len(planted)))
    return [float(v) for v in np.quantile([correlation(planted[row], measured[row]) for row in drawn], (0.025, 0.975))]


# ---- words


def words_named(
    pipeline: Pipeline, features: Features, split: Split, truth: Truth, cases: int, seed: int, method: str,
    labels: Collection[str] = HELD["test"], scope: str = "query", another: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Of the `WORDS` strongest words, how many name an attribute that the writer cares about; the share of such words
    in the text, and what taking the rarest words gives.

    scope "query": the words of a held-out review, asked for its own product; its score does not know who tells it.
    "item": the words of that product before the writer as a known user, whose tastes are in the score; another: also
    by how much that is above the words of the same products before another user, drawn at random (`over_another`).
    Which words name an attribute is learned from the reviews that training may see and what each of them tells.
    A ranker that answers no such question has no cases.
    """
    needed = {"query": "query", "item": "known user"}[scope]
    if needed not in pipeline.model.ranker.cases or "text" not in pipeline.model.modalities:
        return NO_WORDS
    everything = list(zip(pipeline.catalogue.interactions, features.interactions, split.labels, strict=True))
    rows = [
        (row, media) for row, media, label in everything
        if label in labels and media.get("text") and told_in(truth, row)
        and (scope == "query" or row.user_id in pipeline.user_rows)
    ]  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(rows))[:cases]
    seen = [row for row, _, label in everything if label == TRAIN]
    lexicon = naming_words((row.text, told_in(truth, row)) for row in seen)
    described = [" ".join(parts_of(item, "text")) for item in pipeline.catalogue.items]
    texts = [row.text for row in seen] if scope == "query" else described
    rarity = Counter(word for text in texts for word in set(tokens(text)))
    found, others, products = [], [], []
    for number in sorted(order):
        row, media = rows[number]
        names, weights = weighed_words(pipeline, features, row, media, method, scope)
        naming = [named(word, lexicon) for word in names]
        hits = np.array([bool(one & cared(truth, row.user_id)) for one in naming])
        if weights is None or len(names) <= WORDS or not hits.any():
            continue
        common = np.array([min((rarity[one] for one in tokens(word)), default=rarity.total()) for word in names])
        first = (hits[by[:WORDS]].mean() for by in (np.argsort(-weights), np.argsort(common, kind="stable")))
        found.append((*first, hits.mean(), np.mean([bool(one) for one in naming])))
        products.append(row.item_id)
        if another:
            strangers = [user for user in pipeline.user_rows if user != row.user_id]
            asked = replace(row, user_id=str(np.random.default_rng(number).choice(strangers)))
            weights = weighed_words(pipeline, features, asked, media, method, scope)[1]
            others.append(hits[np.argsort(-weights)[:WORDS]].mean())
    if not found:
        return NO_WORDS
    ours = [strongest for strongest, *_ in found]
    beside = {"over_another": asdict(paired(ours, others, products).difference)} if others else {}
    return {**words_summary(found, products), **beside, "method": method}


def words_summary(found: Sequence[tuple[float, float, float, float]], products: Sequence[str]) -> dict[str, Any]:
    """Rows: cared for among the strongest, the rarest, all; naming any attribute. products: units of the intervals."""
    ours, rarest, share, naming = (list(column) for column in zip(*found, strict=True))
    return {
        "precision@3": asdict(bootstrap(ours, products)),
        "text_share": float(np.mean(share)), "times_text_share": float(np.mean(ours) / np.mean(share)),
        "attribute_share": float(np.mean(naming)), "times_attribute_share": float(np.mean(ours) / np.mean(naming)),
        "rarest_words": asdict(bootstrap(rarest, products)),
        "over_rarest": asdict(paired(ours, rarest, products).difference), "cases": len(ours),
    }  # fmt: skip


def weighed_words(
    pipeline: Pipeline, features: Features, row: Interaction, media: Media, method: str, scope: str
) -> tuple[Sequence[str], NDArray[np.float64] | None]:
    """Words (W,) and their weights (W,) for the score of the row's product; scope: as of `words_named`."""
    target = pipeline.catalogue.position()[row.item_id]
    if scope == "query":
        own: Media = {"text": media["text"]}
        read, user = {"text": list(contents_of(pipeline, row, own).get("text", ()))}, None
    else:
        own, read, user = features.items[target], item_contents(pipeline, target), row.user_id
    states = {m: [features.states[m][at] for at in rows] for m, rows in own.items() if rows}
    if "text" not in states:
        return (), None
    scorer = case_scorer(pipeline, scope, states, read, target, user)
    weights = attribute(scorer, method)
    return scorer.units["text"].names, None if weights is None else weights["text"]


def told_in(truth: Truth, row: Interaction) -> frozenset[str]:
    """Attributes that a review tells, "axis:level" or "kind:value"."""
    told = truth["reviews"].get(f"{row.user_id} {row.item_id}", {})
    return frozenset((*told.get("read", ()), *told.get("seen", ()), *told.get("heard", ())))


def cared(truth: Truth, user: str) -> frozenset[str]:
    """Attributes that a user has a taste for or against."""
    own, vocabulary = truth["users"][user], truth["vocabulary"]
    read = (n for n, taste in zip(vocabulary["read_features"], own["read_taste"], strict=True) if abs(taste) >= CARES)
    kinds = {value: kind for kind, values in (("colour", vocabulary["colours"]), ("pattern", vocabulary["patterns"]),
                                              ("material", vocabulary["materials"])) for value in values}  # fmt: skip
    look = (
        f"{kinds[n]}:{n}" for n, taste in zip(vocabulary["look_features"], own["look_taste"], strict=True)
        if n in kinds and abs(taste) >= CARES
    )  # fmt: skip
    heard = [
        level for n, taste in zip(vocabulary.get("heard_features", ()), own.get("heard_taste", ()), strict=False)
        if abs(taste) >= CARES
        for level in ([n] if ":" in n else [f"{n}:{one}" for one in vocabulary["heard"][n]])
    ]  # fmt: skip
    return frozenset((*read, *look, *heard))


def naming_words(texts: Iterable[tuple[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    """word -> attributes it names: nearly every text with the word tells that attribute."""
    seen: Counter[str] = Counter()
    beside: dict[str, Counter[str]] = defaultdict(Counter)
    for text, told in texts:
        for word in set(tokens(text)):
            seen[word] += 1
            beside[word].update(told)
    return {
        word: frozenset(level for level, count in beside[word].items() if count >= NAMES * seen[word])
        for word in seen
        if seen[word] >= SEEN
    }


def tokens(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def named(word: str, lexicon: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*(lexicon.get(one, frozenset()) for one in tokens(word)))


# ---- patches


def pointing(
    pipeline: Pipeline, features: Features, split: Split, truth: Truth, method: str,
    labels: Collection[str] = HELD["test"],
) -> dict[str, Any]:  # fmt: skip
    """Held-out customer photos asked as a query for their product: is the middle of the strongest patch on the mask of
    the product? Beside it, the share of the mask in the photo (a random point) and the middle of the photo."""
    if "query" not in pipeline.model.ranker.cases or "image" not in pipeline.model.modalities:
        return {"method": method, "photos": 0}
    position, grey = pipeline.catalogue.position(), {"method": method, "photos": 0}
    hits, area, centre, products = [], [], [], []
    for item_id, photo, mask in masked_photos(pipeline, features, split, truth, labels):
        states = {"image": [features.states["image"][photo]]}
        scorer = case_scorer(pipeline, "query", states, {}, position[item_id], None)
        weights = attribute(scorer, method)
        if weights is None:
            return grey
        units = scorer.units["image"]
        grid = tuple(1 + max(span[axis] for span in units.spans) for axis in (0, 1))
        best = units.spans[int(np.argmax(weights["image"]))]
        hits.append(float(at_middle(mask, best, grid)))
        centre.append(float(at_middle(mask, (grid[0] // 2, grid[1] // 2), grid)))
        area.append(float(mask.mean()))
        products.append(item_id)
    if not hits:
        return grey
    return {
        "hit_rate": asdict(bootstrap(hits, products)),
        "area": float(np.mean(area)),
        "centre": float(np.mean(centre)),
        "over_area": asdict(paired(hits, area, products).difference),
        "over_centre": asdict(paired(hits, centre, products).difference),
        "photos": len(hits),
        "method": method,
    }


def masked_photos(
    pipeline: Pipeline, features: Features, split: Split, truth: Truth, labels: Collection[str]
) -> Iterator[tuple[str, int, NDArray[np.bool_]]]:
    """Customer photos of that part of the split whose mask ships: product, row of its states, mask (h, w)."""
    own = {
        path: media["image"][at]
        for row, media, label in zip(pipeline.catalogue.interactions, features.interactions, split.labels, strict=True)
        if label in labels
        for at, path in enumerate(row.media.get("image", ()))
        if at < len(media.get("image", ()))
    }
    for one in truth.get("customer_photos", ()):
        file = pipeline.catalogue.root / one["mask"]
        if one["file"] in own and file.is_file():
            mask = np.asarray(read_image(file.read_bytes(), file.name)[0].convert("L")) > 127
            yield one["item_id"], own[one["file"]], mask


def at_middle(mask: NDArray[np.bool_], cell: tuple[int, int], grid: tuple[int, ...]) -> bool:
    row = min(mask.shape[0] - 1, int((cell[0] + 0.5) / grid[0] * mask.shape[0]))
    column = min(mask.shape[1] - 1, int((cell[1] + 0.5) / grid[1] * mask.shape[1]))
    return bool(mask[row, column])
