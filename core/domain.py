"""The values that travel: frozen, checked on creation, free of any library that draws or stores.

Tensors appear in annotations only, so that importing this file costs nothing (see `core/__init__.py` for the letters).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Modality = str
MODALITIES: tuple[Modality, ...] = ("text", "image", "audio", "video")
LIKED = 3.5  # stars and more; unrated rows count as liked
MATRIX = "matrix-"  # begins the fingerprint of ready-made vectors


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a person should know about what they gave; `code` starts with N- (kept) or E- (left out)."""

    code: str
    message: str
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One piece of a query in one modality: UTF-8 text, or the bytes of a photo, sound or clip as they came."""

    modality: Modality
    content: bytes
    name: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a person gives: any number of parts, optionally as a known user. Hashable, so it can key a cache."""

    parts: tuple[Part, ...] = ()
    user: str | None = None

    @classmethod
    def of(
        cls, text: str = "", images: tuple[bytes, ...] = (), user: str | None = None, *,
        sounds: tuple[bytes, ...] = (), clips: tuple[bytes, ...] = (),
    ) -> Query:  # fmt: skip
        words = (Part(modality="text", content=text.encode("utf-8", "replace")),) if text.strip() else ()
        media = (("image", images), ("audio", sounds), ("video", clips))
        return cls(parts=words + tuple(Part(modality=m, content=data) for m, many in media for data in many), user=user)

    @property
    def text(self) -> str:
        return "\n".join(part.content.decode("utf-8", "replace") for part in self.of_modality("text"))

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities present, in the order of MODALITIES."""
        return tuple(m for m in MODALITIES if any(part.modality == m for part in self.parts))

    def of_modality(self, modality: Modality) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.modality == modality)

    def without(self, *modalities: Modality) -> Query:
        return Query(parts=tuple(p for p in self.parts if p.modality not in modalities), user=self.user)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row of the catalogue. `media` maps a modality to paths relative to the catalogue's folder."""

    item_id: str
    title: str = ""
    description: str = ""
    category: str = ""
    price: float | None = None
    media: Mapping[Modality, tuple[str, ...]] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The words of the item: title and description, never reviews."""
        return ". ".join(part.strip().rstrip(".") for part in (self.title, self.description) if part.strip())


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """One user met one item. `rating` None means unrated, never 0; `timestamp` is UTC milliseconds or None."""

    user_id: str
    item_id: str
    rating: float | None = None
    timestamp: int | None = None
    review_title: str = ""
    review_text: str = ""
    media: Mapping[Modality, tuple[str, ...]] = field(default_factory=dict)
    split: str = ""

    @property
    def text(self) -> str:
        return ". ".join(part.strip().rstrip(".") for part in (self.review_title, self.review_text) if part.strip())


@dataclass(frozen=True, kw_only=True)
class FeatureMatrix:
    """Ready-made vectors of one modality, (N, width) float32 in a .npy file `path` below the catalogue's root.

    Row k belongs to item k; a row of NaN means that the item has none; `items` counts the others. digest: sha256 of the
    file. encoder: fingerprint of the encoder that made them, "" where nobody said.
    """

    path: str
    digest: str
    width: int
    items: int
    encoder: str = ""

    @property
    def fingerprint(self) -> str:
        """What stands for an encoder: only what was made by the very same one can be compared."""
        return self.encoder or f"{MATRIX}{self.digest[:16]}"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a catalogue calls its things, small letters; the standard is a shop. query: what a person writes about an
    item, or to find one. unit: of the price, "" without any."""

    item: str = "product"
    items: str = "products"
    query: str = "review"
    queries: str = "reviews"
    price: str = "price"
    unit: str = ""
    shop: str = "shop"

    def said(self, text: str) -> str:
        """A sentence about a shop in the words of this catalogue: "a product" becomes "an answer"."""
        standard = Words()
        if self == standard:
            return text
        own = {getattr(standard, one.name): getattr(self, one.name) for one in fields(self) if one.name != "unit"}

        def put(found: re.Match[str]) -> str:
            article, gap, came = found.group(1) or "", found.group(2) or "", found.group(3)
            word = own[came.lower()]
            if article.lower() in ("a", "an"):
                article = article[0] + ("n" if word[0].lower() in "aeiou" else "")
            return article + gap + (word[0].upper() + word[1:] if came[0].isupper() else word)

        return re.sub(rf"(?:\b([Aa]n?)(\s+))?\b({'|'.join(own)})\b", put, text, flags=re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Items, interactions and the folder their media live in. `version` is the sha256 of the tables and media list.

    features: modalities that came as a matrix; it takes the place of encoding that modality of the items. gone: rows
    that forgotten items had, where those are hidden and not removed; later rows moved up.
    """

    name: str
    version: str
    root: Path
    items: tuple[Item, ...]
    interactions: tuple[Interaction, ...] = ()
    features: Mapping[Modality, FeatureMatrix] = field(default_factory=dict)
    gone: tuple[int, ...] = ()
    words: Words = Words()

    def position(self) -> dict[str, int]:
        """item_id -> row; the row order of the item file is the index order everywhere."""
        return {item.item_id: row for row, item in enumerate(self.items)}


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One modality of B things, as a frozen encoder sees it. Things without this modality have all-False masks.

    tokens (B, L, E) word or patch states; mask (B, L) True where a token is real; part (B, L) which medium of the
    thing a token belongs to; pooled (B, R, E) one vector a medium; pooled_mask (B, R); imputed (B,) True where the only
    medium was filled in, None where nothing was.
    """

    tokens: Tensor
    mask: Tensor
    part: Tensor
    pooled: Tensor
    pooled_mask: Tensor
    imputed: Tensor | None = None

    def __post_init__(self) -> None:
        if self.tokens.shape[:2] != self.mask.shape or self.part.shape != self.mask.shape:
            raise ShapeError(f"tokens {tuple(self.tokens.shape)} and mask {tuple(self.mask.shape)} must share (B, L)")
        if self.pooled.shape[:2] != self.pooled_mask.shape or len(self.pooled) != len(self.tokens):
            raise ShapeError(f"pooled {tuple(self.pooled.shape)} and its mask must share (B, R)")

    @property
    def present(self) -> Tensor:
        """(B,) True where the thing has this modality, or something in its place."""
        return self.pooled_mask.any(-1)

    @property
    def observed(self) -> Tensor:
        """(B,) True where the thing has this modality itself: nothing was filled in."""
        return self.present if self.imputed is None else self.present & ~self.imputed

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: str) -> Encoded:
        known = [one.name for one in fields(self) if getattr(self, one.name) is not None]
        return Encoded(**{name: getattr(self, name).to(device) for name in known})


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """One modality of B things in the shared space: tokens (B, L, D), mask (B, L), pooled (B, D) of unit length
    (zero where absent), present (B,), media (B, R) the weight each photo got, rows summing to 1 where present;
    weights (B, L) the attention each token got when it was pooled, None where an aligner pools without any; strength
    (B,) length of the pooled vector before it was made unit: how much there was to say, None where it means nothing."""

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    present: Tensor
    media: Tensor
    weights: Tensor | None = None
    strength: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Fused:
    """vector (B, D) of unit length; gates (B, M) summing to 1 over present modalities (all 0 where nothing is
    present); attention (B, H, L, L) over the concatenated tokens of all modalities, or None where a fuser has none;
    layers: the same of every block in order, where a fuser has several."""

    vector: Tensor
    gates: Tensor
    attention: Tensor | None = None
    layers: tuple[Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RankedItem:
    """One card. `phi`: exact Shapley values in score units; `shares` = |phi| / sum |phi|; `gates`: the fuser's own."""

    item_id: str
    title: str
    rank: int
    score: float
    phi: Mapping[Modality, float]
    shares: Mapping[Modality, float]
    gates: Mapping[Modality, float]
    base: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far the query is from everything in the shop: 1 - best cosine, and its percentile among held-out queries."""

    value: float
    percentile: float

    @property
    def unlike_anything(self) -> bool:
        return self.percentile >= 99.0


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The answer to one query.

    items: best first. scope: "query" (its modalities are switched for `phi`) or "item". coalitions: for every subset
    of `players`, in binary order (bit j = players[j] present), the scores of all N items, (2^M, N) float32;
    item_ids name the columns. timing_ms: read, encode, align, fuse, rank, total. search: "" where all items were
    compared; else how they were found, with the recall, and the columns are those that were found.
    """

    run: str
    catalogue: str
    device: str
    scope: str
    players: tuple[Modality, ...]
    items: tuple[RankedItem, ...]
    coalitions: np.ndarray
    item_ids: tuple[str, ...]
    distance: Distance | None
    timing_ms: Mapping[str, float]
    notices: tuple[Notice, ...] = ()
    media_weights: Mapping[Modality, tuple[float, ...]] = field(default_factory=dict)
    search: str = ""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float


def with_interval(one: Any, form: str = ".3f", value: str = "value") -> str:
    """ "0.512 [0.430, 0.593]", and the value alone where no interval was kept. one: an Estimate, or what has `value`,
    low and high by name or key; form: of every number."""
    known = one if isinstance(one, Mapping) else {name: getattr(one, name) for name in (value, "low", "high")}
    told = format(known[value], form)
    return told if known["low"] is None else f"{told} [{known['low']:{form}}, {known['high']:{form}}]"
