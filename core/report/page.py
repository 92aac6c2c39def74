"""Reports: one case, one question, one slice or a whole run as a file for somebody who has never seen the app."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.domain import Catalogue, Interaction, Query, Recommendation
from core.errors import FusescopeError
from core.explain.shapley import shares
from core.figures import contribution_bar, no_photo, signed, word_of
from core.figures_errors import blame_bar, blame_words
from core.report.html import Safe, element, page, picture, table
from core.report.moments import Timed, moments_section

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseBook
    from core.evaluate.slices import Condition, Slice
    from core.store.values import Annotation
    from core.workspace import Workspace

WORST = 12  # cases in full in the report of a slice or a run
SIDE = 320
READING = (
    "Every case is a question with a known answer: the review and photos of a purchase that the model never learned "
    "from. It should put that very product first. The right product is framed. Loss is the cross-entropy of the right "
    "product among all, in nats: 0 is certain and right. A modality misled where its exact Shapley value of the loss "
    "is above 0: with it, the answer was further from the truth than without."
)


def case_page(
    workspace: Workspace, book: CaseBook, places: Sequence[int], *, title: str, said: Sequence[Annotation] = ()
) -> bytes:
    """One case, or a few, in full."""
    cases = [_case(workspace, book, at, said) for at in places]
    return page(title, READING, *cases, _fingerprints(workspace, book.cases.about))


def slice_page(
    workspace: Workspace, book: CaseBook, conditions: Sequence[Condition], *, name: str, metric: str
) -> bytes:
    """A slice: how it differs from the rest, which modality misled, its worst cases."""
    inside = book.members(conditions)
    one = book.slice(conditions, metric)
    worst = [int(at) for at in book.cases.order("worst") if inside[at]][:WORST]
    numbers = table([_slice_row(one, metric)], "The slice against the rest") if one else None
    return page(
        f"Slice: {name}",
        f"{int(inside.sum()):,} of {len(book.cases):,} cases for which all of this holds: "
        + "; ".join(f"{its.attribute}: {its.value}" for its in conditions) + ".",
        numbers,
        element("p", "Interval: 95 % bootstrap, products drawn with replacement. p of this slice tested alone."),
        _misled(book, inside),
        element("h2", f"Its {len(worst)} worst cases"),
        element("p", READING),
        *(_case(workspace, book, at, ()) for at in worst),
        _fingerprints(workspace, book.cases.about),
    )  # fmt: skip


def run_page(workspace: Workspace, run: str, book: CaseBook, metric: str = "mrr") -> bytes:
    """A whole run: what it was measured at, slices that do worse, its worst cases, all settings."""
    told = _told(workspace, run)
    its, search = book.cases, book.searches[metric]
    measured = [
        {"part": part, "metric": name, "value": value}
        for part, values in told.get("metrics", {}).items()
        for name, value in values.items()
        if isinstance(value, int | float)
    ]
    here = [{"metric": name, "mean over these cases": float(its.values(name).mean())} for name in book.searches]
    slices = [_slice_row(one, metric) for one in search.slices[:15]]
    return page(
        f"Run {run}",
        f"A recommender of {its.about['items']:,} products of the catalogue {its.about['catalogue']}, judged on "
        f"{len(its):,} held-out questions ({its.about['kind']}, {its.about['part']}, split {its.about['protocol']}).",
        table(here, "These cases"),
        element("h2", "Where it does worse"),
        element("p", f"{search.tested:,} slices were looked at; one is found where Holm's corrected p is below 5 %."),
        table(slices),
        _misled(book, its.rank > 0),
        element("h2", f"The {min(WORST, len(its))} worst cases"),
        element("p", READING),
        *(_case(workspace, book, int(at), ()) for at in its.order("worst")[:WORST]),
        element("h2", "As measured at training"),
        table(measured),
        _fingerprints(workspace, its.about),
    )  # fmt: skip


def query_page(
    workspace: Workspace, query: Query, answer: Recommendation, catalogue: Catalogue, media: Sequence[Timed] = ()
) -> bytes:
    """One question and its answer, with what each modality contributed. media: its sounds and clips, moment by moment,
    before the first product."""
    items = {item.item_id: item for item in catalogue.items}
    cards = []
    for one in answer.items:
        item = items.get(one.item_id)
        lines = [element("strong", f"{one.rank}. {one.title}"), f" score {one.score:.3f}"]
        told = "; ".join(f"{word_of(m)} {one.shares[m]:.0%} ({signed(one.phi[m])})" for m in answer.players)
        bar = picture(contribution_bar(one, answer.players), told) if answer.players else None
        cards.append(_figure(_photo(workspace, catalogue, item), one.title, *lines, bar, element("div", told)))
    photos = [
        _figure(_small(part.content), "Photo of the question") for part in query.parts if part.modality == "image"
    ]
    asked = [element("blockquote", query.text) if query.text else None, element("div", *photos, class_="row")]
    if query.user:
        asked.insert(0, element("p", f"Asked for the known user {query.user}."))
    return page(
        "One question and its answer",
        "What was asked, what was recommended, and how much each modality moved each score: exact Shapley values; "
        "shares are their sizes. A hatched part of a bar pulled the score down.",
        element("h2", "The question"),
        *asked,
        element("h2", "The answer"),
        element("div", *cards, class_="row"),
        moments_section(media, answer.items[0].title) if media else None,
        element("h2", "How it was made"),
        table([{"what": name, "value": value} for name, value in (
            ("run", answer.run), ("catalogue", answer.catalogue), ("catalogue version", catalogue.version),
            ("computed on", answer.device), ("milliseconds", round(answer.timing_ms.get("total", 0.0), 1)),
        )]),
        _settings(_told(workspace, answer.run)),
    )  # fmt: skip


# ---- pieces


def _case(workspace: Workspace, book: CaseBook, at: int, said: Sequence[Annotation]) -> Safe:
    its, shop = book.cases, book.catalogue
    row = shop.interactions[int(its.row[at])]
    items = {item.item_id: item for item in shop.items}
    truth = str(its.item[at])
    shown = [str(one) for one in its.shown[at] if one]
    alone = ", ".join(
        f"{word_of(m)} alone {int(its.alone[at, j])}" for j, m in enumerate(its.modalities) if its.alone[at, j]
    )
    blame = {m: float(its.blame[at, j]) for j, m in enumerate(its.modalities)}
    products = [(truth, "the right one")] if truth not in shown else []
    products += [(one, f"shown at {place}") for place, one in enumerate(shown, start=1)]
    figures = []
    for ident, told in products:
        item = items.get(ident)
        title = item.title or ident if item else ident
        mark = f"{told}, the right one" if ident == truth and told != "the right one" else told
        figures.append(_figure(_photo(workspace, shop, item), title, element("strong", title), f" {mark}",
                               framed=ident == truth))  # fmt: skip
    notes = [
        element("p", f"{one.author}: {', '.join(one.labels) or 'seen'}" + (f". “{one.note}”" if one.note else ""))
        for one in said
        if one.case.key == str(its.key[at])
    ]
    return element(
        "section",
        element("h3", f"Case {its.key[at]}: right product at rank {int(its.rank[at])} of {its.about['items']}"),
        element("p", f"loss {float(its.loss[at]):.2f}; {alone or 'nothing asked alone'}; asked by {row.user_id}"),
        element("blockquote", row.text) if row.text else None,
        element("div", *_asked(workspace, shop, row), class_="row"),
        element("h3", "What was shown"),
        element("div", *figures, class_="row"),
        element("h3", "Which modality misled"),
        element("div", picture(blame_bar(blame), f"Bars of blame: {blame_words(blame)}"), class_="wide"),
        table([_modality_row(book, at, j, m) for j, m in enumerate(its.modalities)]),
        *notes,
        class_="case",
    )  # fmt: skip


def _modality_row(book: CaseBook, at: int, column: int, modality: str) -> dict[str, object]:
    its = book.cases
    return {
        "modality": word_of(modality),
        "misled by (nats)": float(its.blame[at, column]),
        "to the score of the right one": float(its.for_truth[at, column]),
        "to the score of what was shown": float(its.for_shown[at, column]),
        "share in what was shown": float(shares(its.for_shown[at])[column]),
    }


def _misled(book: CaseBook, inside: Any) -> Safe:
    its = book.cases
    rows = []
    for at, modality in enumerate(its.modalities):
        values = its.blame[inside & its.present[:, at], at]
        if len(values):
            rows.append({
                "modality": word_of(modality), "cases": len(values),
                "median blame (nats)": float(sorted(values)[len(values) // 2]),
                "misled in": f"{float((values > 0).mean()):.0%}",
            })  # fmt: skip
    return element("div", element("h2", "Which modality misled"), table(rows))


def _slice_row(one: Slice, metric: str) -> dict[str, object]:
    return {
        "slice": one.name, "cases": one.size, "products": one.groups, metric: one.value, "the rest": one.rest,
        "difference": one.difference, "95 % from": one.low, "to": one.high, "Holm p": one.holm,
        "found": "yes" if one.found else "no",
    }  # fmt: skip


def _asked(workspace: Workspace, shop: Catalogue, row: Interaction) -> list[Safe]:
    found = []
    for path in row.media.get("image", ()):
        try:
            found.append(_figure(workspace.thumbnail(shop.name, path, SIDE), "Photo of the question"))
        except (FusescopeError, OSError):
            continue
    return found


def _photo(workspace: Workspace, shop: Catalogue, item: Any) -> bytes | str:
    path = next(iter(item.media.get("image", ())), None) if item else None
    if path is None:
        return no_photo()
    try:
        return workspace.thumbnail(shop.name, path, SIDE)
    except (FusescopeError, OSError):
        return no_photo()


def _small(data: bytes) -> bytes:
    """A photo of a question, small and without metadata."""
    from core.catalog.photos import read_image, thumbnail

    return thumbnail(read_image(data, "photo")[0], SIDE)


def _figure(photo: bytes | str, alt: str, *caption: object, framed: bool = False) -> Safe:
    return element("figure", picture(photo, alt), element("figcaption", *caption), class_="truth" if framed else None)


def _told(workspace: Workspace, run: str) -> Mapping[str, Any]:
    return json.loads((workspace.run_folder(run) / "run.json").read_text("utf-8"))


def _fingerprints(workspace: Workspace, about: Mapping[str, Any]) -> Safe:
    told = _told(workspace, about["run"])
    rows = [{"what": name, "value": str(value)} for name, value in about.items()]
    return element("div", element("h2", "Fingerprints"), table(rows), _settings(told))


def _settings(told: Mapping[str, Any]) -> Safe:
    """All settings and digests of the run, so that it can be made again."""
    settings = [{"setting": name, "value": str(value)} for name, value in sorted(told["settings"].items())]
    digests = [{"file": name, "sha256": value} for name, value in sorted(told["digests"].items())]
    return element("div", element("h2", "Settings of the run"), table(settings), element("h2", "Files of the run"),
                   table(digests))  # fmt: skip
