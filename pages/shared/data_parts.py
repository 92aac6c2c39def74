"""Drawn pieces of the Data page: values in, elements out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.catalog.clean import CELL_STEPS, SHOWN_CHARACTERS, STEPS, Mark
from core.domain import Item
from core.figures import no_photo, shorten
from pages.shared.job_parts import job_row
from pages.shared.parts import picture_alt
from pages.shared.theme import literal, named
from pages.shared.wording import said, words

if TYPE_CHECKING:
    from core.evaluate.splits import Fingerprint
    from core.jobs.queue import JobInfo
    from pages.shared.data_services import Facts

PLOTLY = {"displaylogo": False, "showSendToCloud": False}
WORDS = frozenset(CELL_STEPS.values())
PICTURED = ("wrong_photo", "near_duplicate", "unusual", "price_outlier", "no_words")
JOB_WORD = {"import": "Import of", "clean": "Search for faults in"}
METHOD = """
**Cleaning.** Every step has a name, a count and a list. Steps about *words* repair cells when a catalogue is read; the
cell as it came is kept and stands beside the repaired one. All other steps only *mark*: a run takes those it names
(`python -m core train ... --clean wrong_photo,price_outlier`), so each can be switched on and off, and no item leaves
the catalogue.

**Photo of something else.** A ridge map from photos to words is fitted on the other items, five folds. A photo is
suspect when its own item's words fit it no better than anybody's: robust z above 3.

**Words against stars.** Stars are predicted from the words of a review by a model that has not seen it; a residual
with a robust z above 4.5 is listed. **Listed twice.** Words in common *and* look (difference hash) must agree: variants
share a photo, not their words. **Unlikely price.** Robust z above 3 of the log price against its category.

**Precision, recall, area under the curve.** Where the truth ships with a catalogue: how many of the found places were
broken on purpose, how many of the broken ones were found, and how well the score sorts them.

**Filled in.** A run may put something in the place of a missing modality (`--impute`): the mean or median of its
training items, the mean of nearest items (`knn`), a regression from what is there (`ridge`, `iterative`), or the
adversarial aligner's `generator`. Fitted on training items only; what is filled in is marked and never shown as given.
"""


def numbers(facts: Facts) -> None:
    """The catalogue in numbers, each with what it means."""
    grid = st.grid(4, min_column_width=150, gap="small", border=True)
    prices = "none" if facts.prices is None else f"{facts.prices[0]:,.2f} to {facts.prices[1]:,.2f}"
    shown = (
        (said("Products"), f"{facts.items:,}", "Rows of the item table that could be used."),
        ("People", f"{facts.users:,}", "Different users with at least one row."),
        (said("Ratings and reviews"), f"{facts.interactions:,}",
         f"{facts.rated:,} with stars, {facts.timed:,} with a time."),
        (said("Price"), prices, f"Lowest and highest as they came; {facts.categories:,} categories."),
    )
    for label, value, help in shown:
        with grid.cell():
            st.caption(label, help=help)
            st.markdown(f"#### {value}")


def media_line(facts: Facts) -> None:
    """How many items have which modality, in its colour."""
    told = [f"{named(m)} **{count:,}** of {facts.items:,} {words().items}" for m, count in facts.have.items()]
    st.markdown(" · ".join(told) if told else said(":gray[No product has words or media.]"))


def photo_row(photos: Sequence[tuple[str, bytes | None]]) -> None:
    """Some products at a glance."""
    with st.container(horizontal=True, gap="small"):
        for title, picture in photos:
            st.image(picture or no_photo(), width=112, alt=picture_alt(title, picture))


def split_table(found: Fingerprint) -> None:
    """The fingerprint of a split: beside every number that is measured on it."""
    parts = (found.train, found.validation, found.test, found.cold)
    tested = f"{found.tested_users:,}, {found.tested_users_with_training:,}"
    rows = (
        ("train / validation / test / cold rows", " / ".join(f"{count:,}" for count in parts)),
        ("users with a test row, with training rows too", tested),
        (said("products without a training row"), f"{found.items_without_training:,}"),
        ("fingerprint", f"`{found.sha}`"),
    )  # fmt: skip
    st.markdown("| split | |\n|:--|:--|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows))
    if found.caution:
        st.caption(f":material/warning: {literal(found.caution)}")


def step_words(step: str) -> None:
    """What a step looks for and what it does when it is on."""
    told = STEPS[step]
    does = f" When it is on, {told.does}." if told.does else " It only lists; nothing is changed."
    st.markdown(f"**{told.title}**: {told.tells}.{does}")


def mark_card(
    step: str, mark: Mark, item: Item | None, other: Item | None, picture: Callable[[Item | None, str], bytes | None]
) -> None:
    """One place that was found: photos first, then what it is, before and after where something was replaced."""
    title = shorten(item.title if item and item.title else mark.item_id, 60)
    with st.container(border=True, gap="xsmall"):
        if step in PICTURED:
            with st.container(horizontal=True, gap="small"):
                shown = picture(item, mark.file)
                st.image(shown or no_photo(), width=120, alt=picture_alt(title, shown))
                if other is not None:
                    shown = picture(other, "")
                    st.image(shown or no_photo(), width=120, alt=picture_alt(other.title, shown))
        whose = f" :gray[by {literal(mark.user_id[:12])}]" if mark.user_id else ""
        st.markdown(f"**{literal(title)}** :gray[{literal(mark.item_id)}]{whose}")
        if other is not None:
            st.markdown(f":small[repeats **{literal(shorten(other.title, 60))}** :gray[{literal(other.item_id)}]]")
        if step in WORDS:
            before_and_after(mark)
        elif mark.before and step != "near_duplicate":
            st.text(shorten(mark.before, SHOWN_CHARACTERS))
        if mark.file and step == "dead_path":
            st.markdown(f":small[{literal(mark.file)}]")
        if mark.reason and step not in WORDS:
            st.caption(literal(mark.reason))


def before_and_after(mark: Mark) -> None:
    came, used = st.columns(2)
    with came:
        st.caption(f"{literal(mark.column)}, as it came")
        st.text(shorten(mark.before, SHOWN_CHARACTERS))
    with used:
        st.caption("as it is used")
        st.text(shorten(mark.after, SHOWN_CHARACTERS) or "nothing is left")


def import_said(report: Mapping, rejects: bytes | None, name: str) -> None:
    """What the import of a catalogue said: counts, what was cleaned, what was refused and why."""
    if not report:
        st.caption("Comes with the app and is read as it is; what its reading repaired stands under Cleaning.")
        return
    st.markdown(literal(str(report.get("summary", ""))))
    cleaned = report.get("cleaned", {})
    if cleaned:
        rows = "\n".join(f"| {literal(str(what))} | {count:,} |" for what, count in sorted(cleaned.items()))
        st.markdown(f"| cleaned or noticed while reading | places |\n|:--|--:|\n{rows}")
    refused = report.get("refused", [])
    if not refused:
        st.markdown(":material/check: Nothing was refused.")
        return
    total = report.get("refusals", len(refused))
    st.markdown(f"**{total:,} refused**" + (f", the first {len(refused)} here" if total > len(refused) else ""))
    st.dataframe(
        [{"where": one["where"], "code": one["code"], "reason": one["reason"]} for one in refused],
        hide_index=True, height=260, alt=f"{len(refused)} refused rows and files with place, code and reason",
    )  # fmt: skip
    if rejects:
        st.download_button(
            "Download all of them", rejects, file_name=f"{name}-rejects.csv", mime="text/csv",
            icon=":material/download:", key="data_rejects",
        )  # fmt: skip


def empty_jobs() -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown("#### Nothing was imported here yet", text_alignment="center")
        st.markdown(
            "An import goes on when this page is closed, can be cancelled and goes on where it stopped.",
            text_alignment="center",
        )
        st.space("small")


def job_line(job: JobInfo, *, cancel: Callable, resume: Callable, show: Callable) -> None:
    """One import or search for faults."""

    def look() -> None:
        if job.state == "done" and job.kind == "import":
            st.button(
                "Look at it", key=f"data_show_{job.id}", type="tertiary", icon=":material/visibility:", on_click=show,
                args=(job.target,),
            )  # fmt: skip

    job_row(
        job, f"{JOB_WORD[job.kind]} **{literal(shorten(job.target, 44))}**", key="data", doors=look,
        cancel=(cancel, "Ends it; what is finished is kept for Resume."),
        resume=(resume, "Goes on; photos and words encoded before are not again."),
        waits="starts in a moment", outcome=outcome(job) if job.result else "",
    )  # fmt: skip


def outcome(job: JobInfo) -> str:
    """What a finished job says of itself."""
    result = job.result or {}
    if job.kind == "clean":
        found = {STEPS[step].title: one["found"] for step, one in result.get("steps", {}).items() if step in STEPS}
        return ", ".join(f"{title} {count}" for title, count in found.items() if count) or "nothing found"
    items, rows = result.get("items", 0), result.get("interactions", 0)
    told = words(job.target).said(f"{items:,} products, {rows:,} ratings and reviews")
    return told + (f", {result['refused']:,} refused" if result.get("refused") else ", nothing refused")
