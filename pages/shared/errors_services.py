"""The door of the Errors page to core, and its only caches: books of cases, by file and time of writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.errors import FusescopeError
from pages.shared import access, services, wording

if TYPE_CHECKING:
    from core.domain import Catalogue
    from core.evaluate.casebook import CaseBook, CaseSet
    from core.evaluate.significance import PairedTest
    from core.evaluate.slices import Condition, Slice
    from core.evaluate.starbook import StarBook
    from core.figures_errors import Spread
    from core.store.values import Annotation, CaseRef, JobInfo, SavedSlice

STARS = "stars"
KINDS = ("review+photo", "review", "photo", "anything", "users", STARS)
ORDERS = {"worst": "worst first", "surprising": "most surprising", "near": "near misses", "best": "best first"}
SHOWS = ("all", "not in the first 10", "found", "not seen yet")
ON_A_PAGE = 20
FOUND = 10  # rank up to which a case counts as found


def case_set(run: str, kind: str, part: str) -> CaseSet:
    from core.evaluate.casebook import CaseSet

    return CaseSet(run=run, kind=kind, part=part)


def book(wanted: CaseSet) -> CaseBook | None:
    """The cases, None where nobody made them yet."""
    path = wanted.file(services.workspace())
    return _book(wanted, path.stat().st_mtime_ns) if path.is_file() else None


@st.cache_resource(max_entries=4, show_spinner="Reading the cases")
def _book(wanted: CaseSet, written: int) -> CaseBook | None:
    from core.evaluate.casebook import load_book

    found = load_book(services.workspace(), wanted)
    if found is not None:
        found.prepare()
    return found


def stars(wanted: CaseSet) -> StarBook | None:
    """The ratings that a run foretold, None where nobody made them yet."""
    path = wanted.file(services.workspace())
    return _stars(wanted, path.stat().st_mtime_ns) if path.is_file() else None


@st.cache_resource(max_entries=4, show_spinner="Reading the ratings")
def _stars(wanted: CaseSet, written: int) -> StarBook | None:
    from core.evaluate.starbook import load_stars

    return load_stars(services.workspace(), wanted)


def tasks(found: StarBook) -> dict[str, str]:
    """What the run foretold here -> in words."""
    from core.evaluate.starbook import TASKS

    return {task: TASKS[task] for task in found.tasks()}


def star_rows(found: StarBook, task: str, places: Sequence[int]) -> list[dict[str, object]]:
    """One row a rating: how sure the run was, the review, the product, who wrote it."""
    shop = services.workspace().catalogue(found.about["catalogue"])
    titles = services.shop(shop.name).titles
    sure = found.chances[task].max(1)
    return [
        {
            "sure": float(sure[at]), "review": shop.interactions[int(found.row[at])].text,
            "product": titles.get(str(found.item[at]), str(found.item[at])), "user": str(found.user[at]),
            "case": str(found.key[at]),
        }
        for at in places
    ]  # fmt: skip


def job(wanted: CaseSet) -> JobInfo | None:
    """The newest work on these cases."""
    from core.jobs.queue import jobs

    found = services.workspace()
    if not found.has_database:
        return None
    return next((one for one in jobs(found) if one.kind == "cases" and one.target == wanted.target[:128]), None)


def make(wanted: CaseSet) -> None:
    """Starts the work. Raises JobError."""
    from core.jobs.queue import start

    start(access.writable(), "cases", wanted.target, wanted.arguments())


# ---- lists


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What narrows the list of cases."""

    order: str = "worst"
    show: str = "all"
    words: str = ""
    label: str = ""
    author: str = ""
    items: tuple[str, ...] = ()  # of these alone, where any are named


def listed(
    found: CaseBook, conditions: Sequence[Condition], filters: Filters, said: Sequence[Annotation]
) -> NDArray[np.int64]:
    """Places of the cases that pass, in the order asked for."""
    its = found.cases
    chosen = found.search(filters.words)
    if conditions:
        chosen &= found.members(conditions)
    if filters.items:
        chosen &= np.isin(its.item, filters.items)
    if filters.show in SHOWS[1:3]:
        chosen &= (its.rank > FOUND) == (filters.show == SHOWS[1])
    if filters.show == SHOWS[3]:
        chosen &= ~its.among(one.case.key for one in said if one.author == filters.author)
    if filters.label:
        chosen &= its.among(one.case.key for one in said if filters.label in one.labels)
    order = its.order(filters.order)
    return order[chosen[order]]


def rows(found: CaseBook, places: Sequence[int], said: Mapping[str, Sequence[Annotation]]) -> list[dict[str, object]]:
    """One row a case for the list: ranks, the product, what people said."""
    titles = services.shop(found.catalogue.name).titles
    its = found.cases
    return [
        {
            "seen": bool(said.get(str(its.key[at]))),
            "rank": int(its.rank[at]),
            **{f"alone_{m}": int(its.alone[at, j]) or None for j, m in enumerate(its.modalities)},
            "product": titles.get(str(its.item[at]), str(its.item[at])),
            "loss": float(its.loss[at]),
            "labels": ", ".join(sorted({label for one in said.get(str(its.key[at]), ()) for label in one.labels})),
        }
        for at in places
    ]


def refs(found: CaseBook, places: Sequence[int]) -> list[CaseRef]:
    from core.store.values import CaseRef

    its = found.cases
    return [CaseRef(key=str(its.key[at]), user=str(its.user[at]), item=str(its.item[at])) for at in places]


def blame(found: CaseBook, chosen: NDArray[np.bool_]) -> dict[str, Spread]:
    """Modality -> how its blame is spread over the chosen cases that have it."""
    from core.figures_errors import Spread

    its = found.cases
    return {m: Spread.of(its.blame[chosen & its.present[:, at], at]) for at, m in enumerate(its.modalities)}


def misleaders(found: CaseBook, chosen: NDArray[np.bool_]) -> dict[str, int]:
    """Modality -> in how many of the chosen cases that were not found it raised the loss the most."""
    its = found.cases
    lost = chosen & (its.rank > FOUND) & (its.present.sum(1) > 1)
    leader = np.where(its.present, its.blame, -np.inf).argmax(1)
    positive = its.blame.max(1) > 0
    return {m: int((lost & positive & (leader == at)).sum()) for at, m in enumerate(its.modalities)}


# ---- one case


def photos(found: CaseBook, place: int) -> list[bytes]:
    """The query's own photos, as thumbnails."""
    row = found.catalogue.interactions[int(found.cases.row[place])]
    shop = found.catalogue
    pictures = [_photo(shop.name, shop.version, path) for path in row.media.get("image", ())[:4]]
    return [picture for picture in pictures if picture]


@st.cache_data(max_entries=400, show_spinner=False)
def _photo(catalogue: str, catalogue_version: str, path: str) -> bytes | None:
    try:
        return services.as_jpeg(services.workspace().thumbnail(catalogue, path, 320))
    except (FusescopeError, OSError):
        return None


def as_query(found: CaseBook, place: int) -> str:
    """Keeps the case's question as a query with a link; its id. Raises FusescopeError."""
    from core.domain import Part, Query

    row = found.catalogue.interactions[int(found.cases.row[place])]
    parts = Query.of(row.text).parts
    for path in row.media.get("image", ())[: services.LIMITS.query_photos]:
        try:
            content = services.workspace().media(found.catalogue.name, path)
        except (FusescopeError, OSError):
            continue
        parts += (Part(modality="image", content=content, name="photo"),)
    user = str(found.cases.user[place]) if found.cases.about["kind"] == "users" else None
    return services.workspace().save_query(Query(parts=() if user else parts, user=user), found.cases.about["run"])


def report(found: CaseBook, places: Sequence[int], title: str, said: Sequence[Annotation]) -> bytes:
    """One offline HTML file about these cases."""
    from core.report.page import case_page

    return case_page(services.workspace(), found, places, title=title, said=said)


def slice_report(found: CaseBook, conditions: Sequence[Condition], name: str, metric: str) -> bytes:
    """One offline HTML file about a slice and its worst cases."""
    from core.report.page import slice_page

    return slice_page(services.workspace(), found, conditions, name=name, metric=metric)


# ---- slices


def find_slice(found: CaseBook, ident: str) -> tuple[str, tuple[Condition, ...]]:
    """Name and conditions behind a slice's link; ("", ()) where neither a person nor the search knows it."""
    from core.people import find_slice

    return find_slice(services.workspace(), found, ident)


def slice_ident(conditions: Sequence[Condition]) -> str:
    from core.evaluate.slices import slice_id

    return slice_id(conditions)


def slice_name(conditions: Sequence[Condition]) -> str:
    """What a slice is about, in the words of the catalogue in use; its values stay as they are."""
    return " and ".join(f"{wording.said(one.attribute)}: {one.value}" for one in conditions)


def cleaning_note(found: CaseBook) -> str:
    """Why no slice speaks of what cleaning found; "" where one can."""
    from core.prepare.findings import kept_faults

    if any(one.name.startswith("cleaning, ") for one in found.attributes):
        return ""
    kept = kept_faults(services.workspace().vectors, found.catalogue)
    if kept is None:
        return (
            "No slice is about cleaning: nobody has searched this catalogue for faults. Do so on the Data page, then "
            "make these cases anew."
        )
    items = set(map(str, found.cases.item))
    if any(mark.item_id in items for one in kept for mark in one.found):
        return "No slice is about cleaning: these cases are older than its findings. Make them anew to slice by them."
    return "No slice is about cleaning: it found nothing that touches these cases."


def slice_rows(slices: Sequence[Slice], names: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {
            "found": one.found, "slice": names.get(slice_ident(one.conditions)) or slice_name(one.conditions),
            "cases": one.size, "value": one.value, "rest": one.rest, "difference": one.difference,
            "low": one.low, "high": one.high, "holm": one.holm, "groups": one.groups,
        }
        for one in slices
    ]  # fmt: skip


def saved_slices(catalogue: str) -> list[SavedSlice]:
    from core.people import saved_slices

    return saved_slices(services.workspace(), catalogue)


def save_slice(catalogue: str, name: str, conditions: Sequence[Condition], author: str) -> SavedSlice:
    from core.people import save_slice

    return save_slice(access.writable(), catalogue, name, conditions, author)


# ---- two runs


@dataclass(frozen=True, kw_only=True)
class Change:
    """Two runs on the cases that both have: places in the first run's book, and how sure the difference is."""

    fixed: NDArray[np.int64]
    broken: NDArray[np.int64]
    found: int
    lost: int
    pairs: NDArray[np.int64]
    mcnemar: float
    test: PairedTest
    before: float
    after: float


@st.cache_resource(max_entries=16, show_spinner=False)
def change(
    _ours: CaseBook, _theirs: CaseBook, key: tuple[str, ...], conditions: tuple[Condition, ...]
) -> Change | None:
    """On the cases of a slice (all of them without conditions); None where the two have no such case in common.

    key: digests of both and their kind. before, after: mean reciprocal rank of the first and of the other run."""
    from scipy.stats import binomtest

    from core.evaluate.cases import compare
    from core.evaluate.significance import paired
    from core.evaluate.slices import bundled

    inside = _ours.members(conditions)
    sides = {name: one[inside[one if one.ndim == 1 else one[:, 0]]]
             for name, one in compare(_ours.cases, _theirs.cases, FOUND).items()}  # fmt: skip
    pairs = sides["there"]
    if not len(pairs):
        return None
    fixed, broken = sides["fixed"], sides["broken"]
    discordant = len(fixed) + len(broken)
    a, b = _theirs.cases.values("mrr")[pairs[:, 1]], _ours.cases.values("mrr")[pairs[:, 0]]
    names, member = np.unique(_ours.codes[pairs[:, 0]], return_inverse=True)
    return Change(
        fixed=fixed, broken=broken, found=len(sides["found"]), lost=len(sides["lost"]), pairs=pairs,
        mcnemar=float(binomtest(len(fixed), discordant).pvalue) if discordant else 1.0,
        test=paired(a, b, bundled(member, len(names))[0]), before=float(b.mean()), after=float(a.mean()),
    )  # fmt: skip


# ---- people


def said(catalogue: str) -> list[Annotation]:
    """All that was said about a catalogue, read again when that has changed."""
    from core.people import annotations_mark

    return list(_said(catalogue, annotations_mark(services.workspace(), catalogue)))


@st.cache_resource(max_entries=8, show_spinner=False)
def _said(catalogue: str, mark: str) -> Sequence[Annotation]:
    from core.people import annotations_of

    return tuple(annotations_of(services.workspace(), catalogue))


def vanished(found: CaseBook, annotations: Sequence[Annotation]) -> list[Annotation]:
    """Those about cases that the catalogue no longer has; keys of all its rows are made once a version, if at all."""
    shop = found.catalogue
    elsewhere = [one for one in annotations if found.cases.place_of(one.case.key) is None]
    known = _keys(shop.name, shop.version, shop) if elsewhere else frozenset()
    return [one for one in elsewhere if one.case.key not in known]


@st.cache_resource(max_entries=4, show_spinner=False)
def _keys(catalogue: str, catalogue_version: str, _shop: Catalogue) -> frozenset[str]:
    from core.people import case_keys

    return case_keys(_shop)


def by_case(annotations: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    found: dict[str, list[Annotation]] = {}
    for one in annotations:
        found.setdefault(one.case.key, []).append(one)
    return found


def label_set() -> dict[str, str]:
    from core.people import label_set

    return label_set(services.workspace())


def people() -> Any:
    """The functions that write what a person says: core.people, with the workspace as their first argument."""
    from core import people

    return people
