"""What is known about each case without asking the model: the attributes that slices are made of.

An attribute is a question ("how long is the query?") and its values are the answers ("8 to 15 words"), each with the
cases it holds for. Numbers are cut into bands at the quartiles of the cases themselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

import numpy as np
import regex
from numpy.typing import NDArray

from core.catalog.clean import STEPS, Detection
from core.domain import Catalogue, Interaction, Item
from core.evaluate.cases import Cases

MOST_VALUES = 40  # an attribute with more different words is a name or an id, no slice
TWIN = 0.99  # cosine from which another product looks and reads the same
PRICE_FACTOR = 10.0  # so many times away from its category's median a price is odd
SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Han", "Hiragana", "Katakana", "Hangul", "Arabic", "Hebrew", "Devanagari", "Thai",
)  # fmt: skip
SMALL_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "English": "the and of to is it was for this with i my not but",
        "German": "der die das und ist nicht ich mit ein eine zu den auch sehr",
        "French": "le la les et est une des pas je pour que dans très c'est",
        "Spanish": "el los las y es un una no por para con muy pero me",
        "Italian": "il lo gli e è un una non per con molto ma che mi",
        "Dutch": "de het een en is niet ik met van voor maar zeer heel dat",
        "Portuguese": "o os as e é um uma não por para com muito mas que",
    }.items()
}
FEWEST_SMALL = 2
_SCRIPT = {script: regex.compile(rf"\p{{{script}}}") for script in SCRIPTS}
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribute:
    """name, its values in a sensible order, and masks (V, Q): which cases each value holds for."""

    name: str
    values: tuple[str, ...]
    masks: Mask


def attributes(
    cases: Cases, catalogue: Catalogue, trained: Mapping[str, int], users: Mapping[str, int],
    faults: Sequence[Detection] = (),
) -> tuple[Attribute, ...]:  # fmt: skip
    """All attributes with at least two values among the cases. trained, users: training rows of items and of users;
    faults: what cleaning found in the catalogue, where somebody looked."""
    items = {item.item_id: item for item in catalogue.items}
    truth = [items[str(item)] for item in cases.item]
    rows = [catalogue.interactions[int(row)] for row in cases.row]
    people = [str(user) for user in cases.user]
    strict = _mean_rating(catalogue)
    found = [
        one_of("product", np.where(cases.warm, "known to training", "new"), ("known to training", "new")),
        *_presence(cases, truth),
        bands("words in the query", [len(row.text.split()) for row in rows], "words"),
        one_of("photos in the query", [_upto(len(row.media.get("image", ())), 3) for row in rows]),
        one_of("script of the query", [script_of(row.text) for row in rows]),
        one_of("language of the query", [language_of(row.text) for row in rows]),
        one_of("stars of the review", ["unrated" if row.rating is None else f"{row.rating:g}" for row in rows]),
        *categories(truth),
        bands("price", [item.price for item in truth]),
        one_of("price against its category", odd_prices(catalogue, truth)),
        bands("training rows of the product", [trained.get(item.item_id, 0) for item in truth], "rows"),
        bands("training rows of the user", [users.get(user, 0) for user in people], "rows"),
        bands("mean stars of the user", [strict.get(user) for user in people], digits=1),
        bands("words of the product", [len(item.text.split()) for item in truth], "words"),
        one_of("photos of the product", [_upto(len(item.media.get("image", ())), 3) for item in truth]),
        one_of("twin listing", np.where(cases.twin >= TWIN, "another product is nearly the same", "none")),
        one_of("group on the map", _cluster_names(cases, truth)),
        *_columns(truth),
        *_faults(faults, truth, rows),
    ]
    return tuple(one for one in found if len(one.values) > 1)


def one_of(name: str, values: Sequence[str] | NDArray[np.str_], order: Sequence[str] = ()) -> Attribute:
    """One value a case; "" belongs to none."""
    column = np.asarray(values, dtype=np.str_)
    known = [value for value in order if value in column] or sorted(set(column.tolist()) - {""})
    masks = np.array([column == value for value in known], dtype=bool).reshape(len(known), len(column))
    return Attribute(name=name, values=tuple(known), masks=masks)


def bands(name: str, numbers: Sequence[float | None], unit: str = "", digits: int = 0) -> Attribute:
    """Numbers in up to four bands of equal size, named by their ends; None is a value of its own, "unknown"."""
    column = np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)
    known = column[~np.isnan(column)]
    if not len(known):
        return one_of(name, ["unknown"] * len(column))
    edges = np.unique(np.quantile(known, (0, 0.25, 0.5, 0.75, 1), method="higher"))
    names, masks = [], []
    for at, low in enumerate(edges[:-1] if len(edges) > 1 else edges):
        high = edges[at + 1] if len(edges) > 1 else low
        last = at >= len(edges) - 2
        chosen = (column >= low) & ((column <= high) if last else (column < high))
        if not chosen.any():
            continue
        first, end = column[chosen].min(), column[chosen].max()
        span = f"{first:.{digits}f}" if first == end else f"{first:.{digits}f} to {end:.{digits}f}"
        names.append(f"{span} {unit}".strip())
        masks.append(chosen)
    if np.isnan(column).any():
        names.append("unknown")
        masks.append(np.isnan(column))
    return Attribute(name=name, values=tuple(names), masks=np.array(masks))


def categories(truth: Sequence[Item]) -> list[Attribute]:
    """Every level of a path `A > B > C`, and every label of `A|B`, as attributes of their own."""
    paths = [[part.strip() for part in item.category.split(">")] if "|" not in item.category else [] for item in truth]
    deepest = max((len(path) for path in paths), default=0)
    found = []
    for level in range(deepest):
        name = "category" if deepest == 1 else f"category, level {level + 1}"
        found.append(one_of(name, [" > ".join(path[: level + 1]) if len(path) > level else "" for path in paths]))
    labels = [set(map(str.strip, item.category.split("|"))) if "|" in item.category else {item.category.strip()}
              for item in truth]  # fmt: skip
    if any("|" in item.category for item in truth):
        known = sorted(set().union(*labels) - {""})[:MOST_VALUES]
        masks = np.array([[label in own for own in labels] for label in known], dtype=bool)
        found = [Attribute(name="label", values=tuple(known), masks=masks.reshape(len(known), len(truth)))]
    return [one for one in found if len(one.values) <= MOST_VALUES]


def odd_prices(catalogue: Catalogue, truth: Sequence[Item]) -> list[str]:
    """Whether a product's price is far from the median of its category."""
    prices: dict[str, list[float]] = defaultdict(list)
    for item in catalogue.items:
        if item.price:
            prices[item.category].append(item.price)
    middle = {category: median(known) for category, known in prices.items()}

    def told(item: Item) -> str:
        if not item.price or item.category not in middle:
            return "no price"
        ratio = item.price / middle[item.category]
        return "far from the others" if max(ratio, 1 / ratio) >= PRICE_FACTOR else "usual"

    return [told(item) for item in truth]


def script_of(text: str) -> str:
    """The script of most letters, "" without any."""
    sample = text[:400]
    counts = {script: len(pattern.findall(sample)) for script, pattern in _SCRIPT.items()}
    best = max(counts, key=lambda script: counts[script])
    return best if counts[best] else ""


def language_of(text: str) -> str:
    """The language whose commonest small words stand in it most often; "" where fewer than two do, or two tie."""
    words = Counter(text[:400].casefold().split())
    counts = sorted(((sum(words[one] for one in small), name) for name, small in SMALL_WORDS.items()), reverse=True)
    return counts[0][1] if counts[0][0] >= FEWEST_SMALL and counts[0][0] > counts[1][0] else ""


def _faults(faults: Sequence[Detection], truth: Sequence[Item], rows: Sequence[Interaction]) -> list[Attribute]:
    """Every kind of fault that cleaning found: in the case's own review, or in its right product."""
    found = []
    for one in faults:
        reviews = {(mark.user_id, mark.item_id) for mark in one.found if mark.user_id}
        items = {mark.item_id for mark in one.found if not mark.user_id}
        marked = [
            "marked" if item.item_id in items or (row.user_id, row.item_id) in reviews else "not marked"
            for item, row in zip(truth, rows, strict=True)
        ]
        found.append(one_of(f"cleaning, {STEPS[one.step].title.lower()}", marked))
    return found


def _presence(cases: Cases, truth: Sequence[Item]) -> list[Attribute]:
    """Which modalities the query and its product have."""
    found = [
        one_of(f"{m} of the query", np.where(cases.present[:, at], "given", "missing"))
        for at, m in enumerate(cases.modalities)
    ]
    has: dict[str, Callable[[Item], bool]] = {
        m: (lambda item, m=m: bool(item.text) if m == "text" else bool(item.media.get(m)))  # type: ignore[misc]
        for m in cases.modalities
    }
    return found + [
        one_of(f"{m} of the product", ["there" if has[m](item) else "missing" for item in truth])
        for m in cases.modalities
    ]


def _columns(truth: Sequence[Item]) -> list[Attribute]:
    """The catalogue's own columns: numbers in bands, words with few different values as they are."""
    found = []
    for name in sorted({name for item in truth for name in item.attributes}):
        cells = [str(item.attributes.get(name, "")).strip() for item in truth]
        numbers = [_number(cell) for cell in cells if cell]
        if numbers and all(number is not None for number in numbers) and len(set(numbers)) > 5:
            found.append(bands(name, [_number(cell) if cell else None for cell in cells], digits=1))
        elif len(set(cells)) <= MOST_VALUES:
            found.append(one_of(name, cells))
    return found


def _cluster_names(cases: Cases, truth: Sequence[Item]) -> list[str]:
    """A number, and the category that most of the group's products have."""
    kinds: dict[int, Counter[str]] = defaultdict(Counter)
    for cluster, item in zip(cases.cluster.tolist(), truth, strict=True):
        kinds[cluster][item.category.split(">")[-1].strip() or "no category"] += 1
    return [f"{cluster + 1}, mostly {kinds[cluster].most_common(1)[0][0]}" for cluster in cases.cluster.tolist()]


def _mean_rating(catalogue: Catalogue) -> dict[str, float]:
    stars: dict[str, list[float]] = defaultdict(list)
    for row in catalogue.interactions:
        if row.rating is not None:
            stars[row.user_id].append(row.rating)
    return {user: mean(known) for user, known in stars.items()}


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _upto(count: int, most: int) -> str:
    return str(count) if count < most else f"{most} or more"
