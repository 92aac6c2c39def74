"""Checks and counts of a written Studio folder; sample_data/README.md quotes what is printed here."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sample_data.generator.faults import COUNTS
from sample_data.generator.listeners import LISTENERS
from sample_data.generator.media import list_media
from sample_data.generator.people import USERS
from sample_data.generator.reference import measure_reference
from sample_data.generator.shop import Studio, build_studio
from sample_data.generator.tables import list_shots, make_files
from sample_data.generator.words import NAMES, axes_apart

MAX_BYTES = 25_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. holds: None where a number is only told."""

    name: str
    value: str
    limit: str = ""
    holds: bool | None = None


def check_people(studio: Studio, reference: dict[str, float]) -> list[Finding]:
    """Users, rows, stars, planted shares, and what can be learned."""
    stars = Counter(row.rating for row in studio.rows)
    rows = len(studio.rows)
    mean, good = sum(star * count for star, count in stars.items()) / rows, (stars[4] + stars[5]) / rows
    shares = np.array([user.share_look for user in studio.people.users])
    heard = np.array([user.share_heard for user in studio.people.users])
    marks, heard_marks = (
        " ".join(f"{value:.2f}" for value in np.quantile(values, (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)))
        for values in (shares, heard[heard > 0])
    )
    users, items = (np.bincount([getattr(row, side) for row in studio.rows]) for side in ("user", "item"))
    oracle, popular = reference["oracle_ndcg10"], reference["popularity_ndcg10"]
    return [
        Finding(
            name="users, listeners among them",
            value=f"{len(shares)}, {(heard > 0).sum()}",
            limit=f"{USERS + LISTENERS}, {LISTENERS}",
            holds=(len(shares), (heard > 0).sum()) == (USERS + LISTENERS, LISTENERS),
        ),
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
        Finding(
            name="planted share of sound, quantiles of the listeners",
            value=heard_marks,
            limit=".55-.85",
            holds=bool(heard[heard > 0].min() >= 0.55 and heard.max() <= 0.85),
        ),
        Finding(name="oracle NDCG@10", value=f"{oracle:.3f}", limit=".42-.55", holds=0.42 <= oracle <= 0.55),
        Finding(
            name="oracle NDCG@10 of the listeners",
            value=f"{reference['listeners_oracle_ndcg10']:.3f}",
            limit=".35-.60",
            holds=0.35 <= reference["listeners_oracle_ndcg10"] <= 0.6,
        ),
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
            limit=">= .60",
            holds=reference["learnability"] >= 0.6,
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
        Finding(name="heard facts a review", value=_tell(Counter(len(review.heard) for review in reviews))),
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


def check_sounds(studio: Studio) -> list[Finding]:
    """What sounds tell apart, and who recorded what."""
    facts = {name: tuple(sound.facts().values()) for name, sound in studio.sounds.items()}
    alone = [sum(facts[other] == facts[name] for other in group.items) for group in studio.world.groups
             for name in group.items]  # fmt: skip
    rows, recorded = studio.rows, studio.recorded
    cold = {name for group in studio.world.groups if group.cold for name in group.items}
    places = [studio.items[rows[number].item].item_id for number in (*recorded.sounds, *recorded.clips)]
    early = [number for number in (*recorded.sounds, *recorded.clips) if number < studio.first_listener_row]
    turns = [clip for clip in studio.clips if clip["kind"] == "turntable"]
    return [
        Finding(
            name="items whose sound is like that of 1, 2, 4 siblings (itself counted)",
            value=", ".join(str(alone.count(amount)) for amount in (1, 2, 4)),
            limit="none of 4",
            holds=max(alone) <= 2,
        ),
        Finding(
            name="turntable clips, of cold items, families",
            value=f"{len(turns)}, {sum(clip['item_id'] in cold for clip in turns)}, "
            f"{len({clip['look']['family'] for clip in turns})}",
            limit=">= 80, all 64, 16",
            holds=len(turns) >= 80 and cold <= {clip["item_id"] for clip in turns},
        ),
        Finding(
            name="customer sounds, customer clips, of cold items",
            value=f"{len(recorded.sounds)}, {len(recorded.clips)}, {sum(name in cold for name in places)}",
            limit="all by listeners",
            holds=not early,
        ),
    ]


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
    media = list_media(files)
    heard_or_filmed = sum((folder / name).is_file() for name in media)
    media_bytes = sum((folder / name).stat().st_size for name in media if (folder / name).is_file())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [
        Finding(
            name="files that differ from what seed and version make",
            value=", ".join(differing) or "none",
            limit="none",
            holds=not differing,
        ),
        Finding(name="digest of items.csv + interactions.csv", value=truth["digests"]["text"]),
        Finding(name="digest of version 1 within them", value=truth["digests"]["version_1"]),
        Finding(
            name="pictures and masks",
            value=f"{there} of {len(wanted)}",
            limit="all, or none before rendering",
            holds=there in (0, len(wanted)),
        ),
        Finding(
            name="sounds and clips",
            value=f"{heard_or_filmed} of {len(media)}, {media_bytes / 1e6:.1f} MB",
            limit="all, or none before making them",
            holds=heard_or_filmed in (0, len(media)),
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
        *check_sounds(studio),
        *check_faults(truth),
        *check_files(folder, files, truth),
    ]
