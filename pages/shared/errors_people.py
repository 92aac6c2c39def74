"""What a person does with cases: signs, labels one or many, writes notes, names slices, compares two people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.domain import with_interval
from core.errors import FusescopeError, InputError
from pages.shared import access, errors_parts, parts, wording
from pages.shared import errors_services as errors
from pages.shared import errors_visit as visit
from pages.shared.theme import literal

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseBook
    from core.evaluate.slices import Condition
    from core.store.values import Annotation, CaseRef


MOST_GONE = 100  # rows of labels without a case that are shown; the files hold all


def draw_author() -> str:
    """Who signs, kept for this visit: whoever signed in, else the name that is given. "" signs nothing."""
    if access.signing_in():
        name = visit.author()
        st.caption(f"Signed by {literal(name)}." if name else "You may look; labels and notes are for annotators.")
        return name
    return (
        st.text_input(
            "Your name", key=visit.AUTHOR, placeholder="sign to label", max_chars=40, persist_state="session",
            bind="query-params", help="Labels and notes are kept under this name, with the time.",
        ) or ""
    ).strip()  # fmt: skip


def draw_labels(found: CaseBook, place: int, said: Sequence[Annotation]) -> None:
    """Labels by key 1 to 9, a note, and what other people said about this case."""
    author, [ref] = draw_author(), errors.refs(found, [place])
    mine = next((one for one in said if one.case.key == ref.key and one.author == author), None)
    given = mine.labels if mine else ()
    catalogue = found.catalogue.name
    if author and mine is None:
        _told(lambda: errors.people().put_seen(access.writable(), catalogue, ref, author))
    with st.container(horizontal=True, gap="xsmall", key="errors_labels"):
        for number, (label, meaning) in enumerate(errors.label_set().items(), start=1):
            st.button(
                label, key=visit.label_key(label), shortcut=str(number), disabled=not author, help=meaning,
                type="primary" if label in given else "secondary", on_click=_toggle,
                args=(catalogue, ref, author, label, label not in given),
                icon=":material/check:" if label in given else None,
            )  # fmt: skip
    _say_refusal()
    version = mine.version if mine else 1  # having seen it is the first version
    st.text_area(
        "Note", value=mine.note if mine else "", key=visit.note_key(ref.key, version), height=80, max_chars=2000,
        disabled=not author, placeholder="what went wrong, and why you think so",
        on_change=_keep_note, args=(catalogue, ref, author, version),
        help="Kept when you leave the field. Mail and web addresses, phone, card and account "
        "numbers are masked before.",
    )  # fmt: skip
    if masked := st.session_state.pop(visit.MASKED, ""):
        st.info(f"Masked in your note: {masked}. The words above show what was kept.", icon=":material/visibility_off:")
    if mine and mine.updated:
        st.caption(f":material/cloud_done: kept at {mine.updated:%H:%M:%S} UTC")
    errors_parts.sayings([one for one in said if one.case.key == ref.key and one.author != author])


def draw_many(found: CaseBook, places: Sequence[int]) -> None:
    """One label for all selected cases."""
    author = visit.author()
    with st.container(border=True, horizontal=True, vertical_alignment="bottom", gap="small"):
        label = st.selectbox(f"Label for {len(places)} cases", list(errors.label_set()), key="errors_many_label")
        for word, present in (("Give to all", True), ("Take from all", False)):
            if st.button(word, key=f"errors_many_{present}", disabled=not author):
                done = _told(
                    lambda present=present: errors.people().put_label(
                        access.writable(), found.catalogue.name, errors.refs(found, places), author, label,
                        present=present,
                    )
                )  # fmt: skip
                if done:
                    st.rerun()
        if not author:
            st.caption("Sign beside a case first.")


def draw_slice(found: CaseBook, conditions: tuple[Condition, ...], name: str, metric: str) -> None:
    """The chosen slice in numbers, its name and link, its cases, its report."""
    one, ident = found.slice(conditions, metric), errors.slice_ident(conditions)
    with st.container(border=True):
        st.markdown(f"**{literal(name)}**")
        if one is not None:
            items = wording.words().items
            st.markdown(
                f"{metric} **{one.value:.3f}** in {one.size:,} cases of {one.groups:,} {items}, {one.rest:.3f} in the "
                f"rest: **{with_interval(one, '+.3f', 'difference')}**, p {one.p:.2g} by itself."
            )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.button("Show its cases", key="errors_slice_cases", icon=":material/list:",
                      on_click=visit.show_cases_of, args=(ident,))  # fmt: skip
            called = st.text_input("Name it", value=name, key=f"errors_slice_name_{ident}", max_chars=120)
            author = draw_author()
            if st.button("Save the slice", key="errors_slice_save", disabled=not author, icon=":material/bookmark:"):
                saved = _told(lambda: errors.save_slice(found.catalogue.name, called, conditions, author))
                if saved:
                    st.rerun()
        base, about = (st.context.url or "").split("?")[0], found.cases.about
        st.caption("Its link, the same for everybody who uses this installation:")
        st.code(
            f"{base}?{visit.RUN}={about['run']}&{visit.KIND}={about['kind'].replace('+', '%2B')}"
            f"&{visit.SLICE_PARAMETER}={ident}&{visit.VIEW}=Slices",
            language=None, wrap_lines=True,
        )  # fmt: skip
        st.download_button(
            "Report", lambda: errors.slice_report(found, conditions, name, metric), key="errors_slice_report",
            file_name=f"fusescope-slice-{ident}.html", mime="text/html", icon=":material/download:", type="tertiary",
            on_click="ignore", help="One HTML file about this slice and its worst cases; it works without network.",
        )  # fmt: skip


def draw_people(found: CaseBook, said: Sequence[Annotation]) -> None:
    """Who has seen how much, how far two agree, the label set, and files in and out."""
    cases = len(found.cases)
    here = [one for one in said if found.cases.place_of(one.case.key) is not None]
    gone = errors.vanished(found, said)
    authors = sorted({one.author for one in here})
    if not authors:
        st.info("Nobody labelled a case of this kind yet. Open one, sign, and press 1 to 9.", icon=":material/label:")
    for author in authors:
        own = [one for one in here if one.author == author]
        labelled = sum(bool(one.labels) for one in own)
        st.progress(len(own) / cases, f"{literal(author)}: {len(own):,} of {cases:,} seen, {labelled:,} labelled")
    if len(authors) > 1:
        _draw_agreement(here, authors)
    if gone:
        _draw_gone(gone)
    left, right = st.columns(2, gap="medium")
    with left:
        _draw_set()
    with right:
        _draw_files(found, [*here, *gone])


def _draw_gone(gone: Sequence[Annotation]) -> None:
    """Labels that outlived their case."""
    with st.expander(f"{len(gone):,} labelled cases are no longer in this catalogue", icon=":material/history:"):
        st.caption(
            "Their purchases are in no row of the catalogue any more, as happens when it is imported again. What was "
            f"said of them is kept, leaves with the files below, and returns with the rows. The first {MOST_GONE}:"
        )
        st.dataframe(
            errors.people().annotation_rows(gone[:MOST_GONE]), hide_index=True, key="errors_gone",
            column_config={"case": st.column_config.TextColumn("case", width="small")},
            alt=f"Table of {min(len(gone), MOST_GONE)} labelled cases whose rows are gone",
        )  # fmt: skip


def _draw_agreement(here: Sequence[Annotation], authors: Sequence[str]) -> None:
    columns = st.columns(2)
    first = columns[0].selectbox("Agreement of", authors, key=visit.FIRST)
    second = columns[1].selectbox("and", [one for one in authors if one != first], key=visit.SECOND)
    labels = sorted({label for one in here for label in one.labels})
    rows = [
        {"label": one.label, "cases both saw": one.cases, "both": one.both, f"only {first}": one.only_first,
         f"only {second}": one.only_second, "neither": one.neither, "kappa": one.kappa}
        for one in errors.people().agreement(here, first, second, labels)
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, key="errors_kappa", height="content",
        column_config={"kappa": st.column_config.NumberColumn("Cohen's kappa", format="%.2f", help=(
            "Agreement beyond chance: 1 perfect, 0 chance; empty where both always say the same"))},
        alt=f"Table: Cohen's kappa of {first} and {second} for {len(rows)} labels",
    )  # fmt: skip


def _draw_set() -> None:
    """The label set as lines `label: meaning`, the first nine have keys."""
    kept = errors.label_set()
    with st.form("errors_set", border=True):
        text = st.text_area(
            "Label set, one a line, in the order of keys 1 to 9", height=190, key=f"errors_set_{len(kept)}",
            value="\n".join(f"{name}: {meaning}" for name, meaning in kept.items()),
            help="What was labelled before stays, also under labels that you take out here.",
        )  # fmt: skip
        if st.form_submit_button("Save the label set", icon=":material/save:"):
            lines = [line.partition(":") for line in text.splitlines() if line.strip()]
            names = {name.strip(): meaning.strip() for name, _, meaning in lines}
            if _told(lambda: errors.people().save_label_set(access.writable(), names) or True):
                st.rerun()


def _draw_files(found: CaseBook, here: Sequence[Annotation]) -> None:
    people, catalogue = errors.people(), found.catalogue.name
    with st.container(border=True):
        st.markdown("**Labels as a file**")
        with st.container(horizontal=True):
            st.download_button("CSV", lambda: people.annotations_csv(here), file_name=f"labels-{catalogue}.csv",
                               mime="text/csv", key="errors_csv", on_click="ignore")  # fmt: skip
            st.download_button("JSON", lambda: people.annotations_json(here), file_name=f"labels-{catalogue}.json",
                               mime="application/json", key="errors_json", on_click="ignore")  # fmt: skip
        given = st.file_uploader("Add labels from a file", type=["csv", "json"], key="errors_import")
        if given is not None and st.button("Add these labels", key="errors_import_go", icon=":material/upload:"):
            told = _told(lambda: _import(catalogue, given.getvalue()))
            if told:
                st.success(str(told))


def _import(catalogue: str, data: bytes) -> str:
    """Adds labels from a file and tells how many. Where people sign in, only those of whoever does this: a name in a
    file is not proof. Raises TableError, InputError, StoreError, RoleError."""
    workspace = access.writable()
    people = errors.people()
    read = people.read_annotations(data)
    mine = [one for one in read if not access.signing_in() or people.author_name(one.author) == visit.author()]
    left = len(read) - len(mine)
    refused = f"{left:,} signed with another name than {visit.author()} were left out; each person adds their own here."
    if read and not mine:
        raise InputError("E-INPUT-VALUE", f"{refused} Let those who signed them sign in and add the file.")
    told = f"{people.import_annotations(workspace, catalogue, mine):,} annotations read; what was there stays."
    return f"{told} {refused}" if left else told


def _toggle(catalogue: str, ref: CaseRef, author: str, label: str, present: bool) -> None:
    """Callback of a label's button or key."""
    try:
        errors.people().put_label(access.writable(), catalogue, [ref], author, label, present=present)
    except FusescopeError as refused:
        st.session_state[visit.REFUSED] = str(refused)


def _keep_note(catalogue: str, ref: CaseRef, author: str, version: int) -> None:
    """Callback of the note's field. Words that could not be kept stay on the page."""
    words = st.session_state[visit.note_key(ref.key, version)]
    try:
        st.session_state[visit.MASKED] = errors.people().put_note(
            access.writable(), catalogue, ref, author, words, version
        )
    except FusescopeError as refused:
        st.session_state[visit.REFUSED], st.session_state[visit.DRAFT] = str(refused), words


def _say_refusal() -> None:
    told = st.session_state.pop(visit.REFUSED, None)
    if told:
        st.error(told)
    draft = st.session_state.get(visit.DRAFT)
    if draft:
        st.caption("Your words, not saved:")
        st.code(draft, language=None, wrap_lines=True)
        st.button("Put them away", key="errors_draft_gone", on_click=visit.drop_draft, type="tertiary")


def _told(work: Callable[[], object]) -> object:
    """Does it; a refusal is said where it happened. None where it was refused, else a true value."""
    try:
        done = work()
    except FusescopeError as refused:
        parts.refusal(refused, title="This was not saved")
        return None
    return done if done is not None else True
