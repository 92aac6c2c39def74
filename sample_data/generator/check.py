"""Checks and counts of a written Studio folder; sample_data/README.md quotes what is printed here."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.faults import COUNTS
from sample_data.generator.people import Row, describe_looks, describe_specs
from sample_data.generator.tables import Studio, build_studio, list_shots, make_files
from sample_data.generator.words import NAMES, axes_apart

TOP = 10
MIN_POSITIVES = 5
LIKED = 4
MAX_BYTES = 25_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. holds: None where a number is only told."""

    name: str
    value: str
    limit: str = ""
    holds: bool | None = None


def split_rows(rows: tuple[Row, ...], warm: NDArray[np.bool_], users: int) -> tuple[list[list[Row]], list[list[Row]]]:
    """(seen, test) per user. Test: the last warm rows rated 4 or 5 in time, a tenth of all rows, at least 2.

    The positive before them is validation and counts as seen here; users with fewer than 5 positives have no test rows.
    """
    seen: list[list[Row]] = [[] for _ in range(users)]
    test: list[list[Row]] = [[] for _ in range(users)]
    for row in rows:
        if warm[row.item]:
            seen[row.user].append(row)
    for user, mine in enumerate(seen):
        liked = [row for row in mine if row.rating >= LIKED]
        if len(liked) >= MIN_POSITIVES:
            test[user] = liked[-max(2, round(0.1 * len(mine))) :]
            held = {row.item for row in test[user]}
            seen[user] = [row for row in mine if row.item not in held]
    return seen, test


def measure_ndcg(
    scores: NDArray[np.float64], seen: list[list[Row]], test: list[list[Row]], warm: NDArray[np.bool_]
) -> float:
    """Mean NDCG@10 over users with test rows; candidates = warm items without the user's seen rows. scores: (U, N)."""
    gains = 1 / np.log2(np.arange(TOP) + 2)
    values = []
    for user, wanted in enumerate(test):
        if wanted:
            mine = np.where(warm, scores[user], -np.inf)
            mine[[row.item for row in seen[user]]] = -np.inf
            hits = np.isin(np.argsort(-mine, kind="stable")[:TOP], [row.item for row in wanted])
            values.append(float(gains[hits].sum() / gains[: min(TOP, len(wanted))].sum()))
    return float(np.mean(values))


def learn_tastes(
    features: NDArray[np.float64], seen: list[list[Row]], warm: NDArray[np.bool_], rank: int = 12, ridge: float = 0.08
) -> NDArray[np.float64]:
    """Scores (U, N) of a linear reader of the true attributes that sees only training rows.

    Per user the mean attributes of what was taken (more stars weigh more), against all warm items, divided by their
    ridge-regularised covariance and cut to a low rank shared by all users.
    """
    centred = features - features[warm].mean(0)  # (N, F)
    spread = centred[warm].T @ centred[warm] / warm.sum() + ridge * np.eye(features.shape[1])
    means = np.array(
        [
            np.average(
                centred[[row.item for row in mine]], axis=0, weights=[0.4 + 0.3 * (row.rating - 1) for row in mine]
            )
            for mine in seen
        ]
    )  # (U, F)
    taste = np.linalg.solve(spread, means.T).T  # (U, F)
    left, sizes, right = np.linalg.svd(taste - taste.mean(0), full_matrices=False)
    shared = taste.mean(0) + (left[:, :rank] * sizes[:rank]) @ right[:rank]
    return shared @ centred.T  # (U, N)


def measure_reference(studio: Studio) -> dict[str, float]:
    """NDCG@10 of the true utility, of popularity and of `learn_tastes`, and the share of the gap it closes."""
    cold = {name for group in studio.world.groups if group.cold for name in group.items}
    warm = np.array([item.item_id not in cold for item in studio.items])
    users = len(studio.people.users)
    seen, test = split_rows(studio.rows, warm, users)
    taken = np.bincount([row.item for mine in seen for row in mine], minlength=len(studio.items)).astype(float)
    features = np.hstack([describe_looks(studio.items), describe_specs(studio.items)])
    oracle = measure_ndcg(studio.people.utility, seen, test, warm)
    popular = measure_ndcg(np.tile(taken, (users, 1)), seen, test, warm)
    learned = measure_ndcg(learn_tastes(features, seen, warm), seen, test, warm)
    return {
        "oracle_ndcg10": round(oracle, 4),
        "popularity_ndcg10": round(popular, 4),
        "learned_ndcg10": round(learned, 4),
        "learnability": round((learned - popular) / (oracle - popular), 4),
        "test_users": sum(bool(rows) for rows in test),
        "test_rows": sum(len(rows) for rows in test),
    }


def check_people(studio: Studio, reference: dict[str, float]) -> list[Finding]:
    """Users, rows, stars, planted shares, and what can be learned."""
    stars = Counter(row.rating for row in studio.rows)
    rows = len(studio.rows)
    mean, good = sum(star * count for star, count in stars.items()) / rows, (stars[4] + stars[5]) / rows
    shares = np.array([user.share_look for user in studio.people.users])
    marks = " ".join(f"{value:.2f}" for value in np.quantile(shares, (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)))
    users, items = (np.bincount([getattr(row, side) for row in studio.rows]) for side in ("user", "item"))
    oracle, popular = reference["oracle_ndcg10"], reference["popularity_ndcg10"]
    return [
        Finding(name="users", value=str(len(shares)), limit="420", holds=len(shares) == 420),
        Finding(
            name="interactions",
            value=f"{rows}, {users.min()}-{users.max()} a user, {items.min()}-{items.max()} an item",
            limit=">= 12,000",
            holds=rows >= 12000,
        ),
        Finding(name="stars", value=", ".join(f"{star}: {stars[star] / rows:.3f}" for star in range(1, 6))),
        Finding(
            name="mean rating, share of 4 and 5",
            value=f"{mean:.2f}, {good:.2f}",
            limit="3.65-3.95, >= .60",
            holds=3.65 <= mean <= 3.95 and good >= 0.6,
        ),
        Finding(
            name="planted share of looks, quantiles 0 10 25 50 75 90 100 %",
            value=marks,
            limit="about .1 to .9",
            holds=bool(shares.min() < 0.15 and shares.max() > 0.85),
        ),
        Finding(name="oracle NDCG@10", value=f"{oracle:.3f}", limit=".42-.55", holds=0.42 <= oracle <= 0.55),
        Finding(
            name="popularity NDCG@10",
            value=f"{popular:.3f}",
            limit="< a third of the oracle",
            holds=popular < oracle / 3,
        ),
        Finding(name="learned NDCG@10", value=f"{reference['learned_ndcg10']:.3f}"),
        Finding(
            name="learnability: share of the gap closed",
            value=f"{reference['learnability']:.3f}",
            limit=">= .65",
            holds=reference["learnability"] >= 0.65,
        ),
    ]


def check_world(studio: Studio) -> list[Finding]:
    """Items, groups, looks and specs."""
    groups, items = studio.world.groups, studio.world.items
    by_id = {item.item_id: item for item in items}
    looks: dict[str, set] = {}
    for item in items:
        looks.setdefault(item.look.family, set()).add(item.look)
    alike = sum(len(found) - len({(look.colour, look.pattern) for look in found}) for found in looks.values())
    apart = [len(axes_apart(group, by_id)) for group in groups]
    cold = [group.group_id for group in groups if group.cold]
    shots = list_shots(studio.world, studio.item_faults)
    customer = sum(shot["kind"] == "customer" for shot in shots)
    return [
        Finding(
            name="items, near-duplicates, groups, families",
            value=f"{len(items)}, {len(studio.items) - len(items)}, {len(groups)}, {len(looks)}",
            limit="320, 12, 80, 16",
            holds=(len(items), len(studio.items) - len(items), len(groups), len(looks)) == (320, 12, 80, 16),
        ),
        Finding(name="looks of a family with equal colour and pattern", value=str(alike), limit="0", holds=alike == 0),
        Finding(
            name="read axes that tell the two specs of a group apart",
            value=f"{min(apart)}-{max(apart)} of 9",
            limit=">= 3",
            holds=min(apart) >= 3,
        ),
        Finding(
            name="groups whose words name the colour",
            value=str(sum(group.colour_in_words for group in groups)),
            limit="40",
            holds=sum(group.colour_in_words for group in groups) == 40,
        ),
        Finding(
            name="cold groups, items",
            value=f"{len(cold)}, {4 * len(cold)}: {' '.join(cold)}",
            limit="16, 64",
            holds=len(cold) == 16,
        ),
        Finding(
            name="shots: studio, customer",
            value=f"{len(shots) - customer}, {customer}",
            limit="customer 448",
            holds=customer == 448,
        ),
    ]


def check_words(studio: Studio) -> list[Finding]:
    """Variety of the reviews, what they mention, and whether they can find the item they are about."""
    reviews, rows = studio.reviews, studio.rows
    bones = Counter(bone for review in reviews for bone in review.skeletons)
    total = sum(bones.values())
    bone, often = bones.most_common(1)[0]
    lengths, read = (
        Counter(len(review.skeletons) for review in reviews),
        Counter(len(review.read) for review in reviews),
    )
    named = sum(any(name in review.text or name in review.title for name in NAMES) for review in reviews)
    by_id = {item.item_id: item for item in studio.items}
    apart = {group.group_id: axes_apart(group, by_id) for group in studio.world.groups}
    told = [
        any(fact.split(":")[0] in apart[studio.items[rows[number].item].group_id] for fact in reviews[number].read)
        for number in studio.photos
    ]
    facts = [len(reviews[number].read) for number in studio.photos]
    every = [
        any(fact.split(":")[0] in apart[studio.items[row.item].group_id] for fact in review.read)
        for row, review in zip(rows, reviews, strict=True)
    ]
    return [
        Finding(
            name="sentences, skeletons with attribute values masked",
            value=f"{total}, {len(bones)}",
            limit=">= 1,500",
            holds=len(bones) >= 1500,
        ),
        Finding(
            name="largest share of one skeleton",
            value=f"{often / total:.4f} ({bone})",
            limit="<= .005",
            holds=often / total <= 0.005,
        ),
        Finding(name="sentences a review", value=_tell(lengths), limit="2-4", holds=set(lengths) <= {2, 3, 4}),
        Finding(name="read facts a review", value=_tell(read), limit="1-3", holds=set(read) <= {1, 2, 3}),
        Finding(name="seen facts a review", value=_tell(Counter(len(review.seen) for review in reviews))),
        Finding(name="different review texts", value=str(len({review.text for review in reviews}))),
        Finding(name="reviews that hold a product's name", value=str(named), limit="0", holds=named == 0),
        Finding(
            name="reviews with a customer photo that tell the two specs apart",
            value=f"{np.mean(told):.3f} of {len(told)}, {np.mean(facts):.2f} read facts each",
            limit=">= .85",
            holds=float(np.mean(told)) >= 0.85,
        ),
        Finding(name="all reviews that tell the two specs apart", value=f"{np.mean(every):.3f}"),
    ]


def _tell(counts: Counter) -> str:
    return ", ".join(f"{key}: {counts[key]}" for key in sorted(counts))


def check_faults(truth: dict) -> list[Finding]:
    """Planted faults by kind, and that no item has two of them."""
    found = Counter(fault["kind"] for fault in truth["faults"])
    items = Counter(fault["item_id"] for fault in truth["faults"] if "user_id" not in fault)
    cold = set(truth["cold"]["items"])
    on_cold = sum(name in cold for name in items)
    return [
        Finding(
            name="faults",
            value=", ".join(f"{kind} {found[kind]}" for kind in COUNTS),
            limit="as planned",
            holds=dict(found) == COUNTS,
        ),
        Finding(
            name="broken items, on cold ones, with two faults",
            value=f"{len(items)}, {on_cold}, {sum(count > 1 for count in items.values())}",
            limit="no item twice",
            holds=max(items.values()) == 1,
        ),
    ]


def check_files(folder: Path, files: dict[str, bytes], truth: dict) -> list[Finding]:
    """Files equal to what the generator makes of the seed, pictures where any are rendered, size of the folder."""
    differing = [name for name, content in files.items() if (folder / name).read_bytes() != content]
    shots = json.loads(files["shots.json"])
    wanted = [shot["file"] for shot in shots] + [shot["mask"] for shot in shots if shot["mask"]]
    wanted += [
        f"photos/{name}_{letter}.webp"
        for name, item in truth["items"].items()
        if item["duplicate_of"]
        for letter in "ab"
    ]
    there = sum((folder / name).is_file() for name in wanted)
    dead = [
        fault["file"] for fault in truth["faults"] if fault["kind"] == "dead_path" and (folder / fault["file"]).exists()
    ]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [
        Finding(
            name="files that differ from what seed and version make",
            value=", ".join(differing) or "none",
            limit="none",
            holds=not differing,
        ),
        Finding(name="digest of items.csv + interactions.csv", value=truth["digests"]["text"]),
        Finding(
            name="pictures and masks",
            value=f"{there} of {len(wanted)}",
            limit="all, or none before rendering",
            holds=there in (0, len(wanted)),
        ),
        Finding(name="dead paths that lead to a file", value=str(len(dead)), limit="0", holds=not dead),
        Finding(name="size of the folder", value=f"{size / 1e6:.1f} MB", limit="< 25 MB", holds=size < MAX_BYTES),
    ]


def check_folder(folder: Path) -> list[Finding]:
    """The whole report. Raises FileNotFoundError where the folder holds no truth.json."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    studio = build_studio(truth["generator"]["seed"])
    reference = measure_reference(studio)
    files = make_files(studio, reference)
    return [
        *check_world(studio),
        *check_people(studio, reference),
        *check_words(studio),
        *check_faults(truth),
        *check_files(folder, files, truth),
    ]
