"""The same thing twice: photos that look alike (difference hash), and listings that repeat an earlier one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.catalog.clean import Detection, Mark
from core.catalog.photos import read_image
from core.domain import Catalogue, Item
from core.errors import PhotoError

SIDE = 8  # a hash has SIDE x SIDE bits
SAME_WORDS = 0.80  # share of words two listings have in common, from which on they may be one
SAME_PHOTO = 0.85  # likeness of photos, from which on they may be one; things on the same ground reach .8
WORDS_ALONE = 0.90  # the same where one of the two has no photo
PHOTO_ALONE = 0.99  # the same where one of the two has no words: variants may share all but one bit
BLOCK = 512
_WORD = re.compile(r"\w+")
Bits = NDArray[np.bool_]


def difference_hash(image: Image.Image, side: int = SIDE) -> Bits:
    """(side * side,) bits: is a pixel of a small grey copy brighter than the one to its left.

    Blind to size, brightness and re-encoding.  Source: Krawetz 2013, "Kind of Like That" (dHash).
    """
    grey = np.asarray(image.convert("L").resize((side + 1, side), Image.Resampling.BOX), dtype=np.int16)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


def photo_hashes(catalogue: Catalogue, on_step: Callable[[str, float], None] | None = None) -> dict[str, Bits]:
    """file -> hash of every readable photo of the items."""
    files = list(dict.fromkeys(file for item in catalogue.items for file in item.media.get("image", ())))
    hashes: dict[str, Bits] = {}
    for done, file in enumerate(files, 1):
        try:
            hashes[file] = difference_hash(read_image((catalogue.root / file).read_bytes(), file)[0])
        except (PhotoError, OSError):
            continue  # an unreadable photo is listed by the import
        finally:
            if on_step and done % 20 == 0:
                on_step("comparing photos", done / len(files))
    return hashes


def near_duplicates(catalogue: Catalogue, hashes: Mapping[str, Bits]) -> Detection:
    """Items that repeat an earlier one: nearly the same words and nearly the same photos.

    The score is the smaller of the two likenesses, each over its limit: from 1 on both agree. Photos alone do not tell:
    variants of a product share their picture and differ in words.
    """
    items = catalogue.items
    words = [Counter(_WORD.findall(item.text.casefold())) for item in items]
    photos = [[hashes[file] for file in item.media.get("image", ()) if file in hashes] for item in items]
    marks = []
    for row, earlier in enumerate(_candidates(words, photos)):
        best = max(((likeness(words, photos, row, other), -other) for other in earlier), default=(0.0, 0))
        if best[0] > 0:
            marks.append(_mark(items[row], items[-best[1]], best[0]))
    return Detection(step="near_duplicate", marks=tuple(marks), looked_at=len(items), limit=1.0)


def likeness(words: Sequence[Counter[str]], photos: Sequence[Sequence[Bits]], one: int, other: int) -> float:
    """How much two items are one, over the limit: 1 and more means yes."""
    said = common_words(words[one], words[other]) if words[one] and words[other] else None
    seen = common_look(photos[one], photos[other]) if photos[one] and photos[other] else None
    if said is None or seen is None:
        return (said or 0.0) / WORDS_ALONE if seen is None else seen / PHOTO_ALONE
    return min(said / SAME_WORDS, seen / SAME_PHOTO)


def common_words(one: Counter[str], other: Counter[str]) -> float:
    """Words in common over all words, repetitions counted (Jaccard of multisets), in [0, 1]; blind to their order."""
    return (one & other).total() / (one | other).total()


def common_look(one: Sequence[Bits], other: Sequence[Bits]) -> float:
    """Mean likeness of each photo to its nearest among the other item's; 1 - share of hash bits that differ."""
    alike = 1 - np.array([[np.mean(a != b) for b in other] for a in one])
    return float((alike.max(0).mean() + alike.max(1).mean()) / 2)


def _candidates(words: Sequence[Counter[str]], photos: Sequence[Sequence[Bits]]) -> list[list[int]]:
    """For every item the earlier ones that share half of their different words, or look the same to the hash."""
    from scipy.sparse import csr_matrix

    number = {word: at for at, word in enumerate(dict.fromkeys(word for bag in words for word in bag))}
    ends = np.cumsum([0, *map(len, words)])
    columns = np.array([number[word] for bag in words for word in bag], dtype=np.int64)
    held = csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(words), max(1, len(number))))
    sizes = np.diff(ends)
    owners = np.array([row for row, hashes in enumerate(photos) for _ in hashes], dtype=np.int64)
    found = np.array([bits for hashes in photos for bits in hashes], dtype=np.float32)
    bits = found.reshape(len(owners), SIDE * SIDE) * 2 - 1  # 1 and -1: a product counts agreement
    earlier: list[list[int]] = []
    for start in range(0, len(words), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(words)))
        shared = np.asarray((held[rows] @ held.T).todense())  # (block, N)
        close = shared >= 0.5 * np.maximum(1, np.minimum(sizes[rows][:, None], sizes[None]))
        mine = np.flatnonzero((owners >= rows[0]) & (owners <= rows[-1]))
        alike = (1 + bits[mine] @ bits.T / bits.shape[1]) / 2 >= PHOTO_ALONE
        for at, other in zip(*np.nonzero(alike), strict=True):
            close[owners[mine[at]] - start, owners[other]] = True
        earlier += [[other for other in np.flatnonzero(close[at]).tolist() if other < row]
                    for at, row in enumerate(rows.tolist())]  # fmt: skip
    return earlier


def _mark(item: Item, other: Item, score: float) -> Mark:
    return Mark(
        item_id=item.item_id, other=other.item_id, score=score, before=item.title, after=other.title,
        file=next(iter(item.media.get("image", ())), ""), reason=f"likeness {score:.2f} of the limit",
    )  # fmt: skip
