"""Catalogues: what is in them, what was cleaned, filled in and refused, what is missing; and the import of new ones."""

from __future__ import annotations

import logging

import streamlit as st

from core import figures_data as figures
from core.domain import Item
from core.errors import FusescopeError
from core.limits import LIMITS, MB
from pages.shared import adding, parts, services, wording
from pages.shared import data_parts as drawn
from pages.shared import data_services as data
from pages.shared import data_visit as choice
from pages.shared.theme import leading, literal

log = logging.getLogger("fusescope.pages")
A_PAGE = 6  # found places shown at a time
POLL, LOOK = 1.0, 15.0  # seconds between two looks at the jobs, while something is under way and while nothing is


# ---- Overview


def draw_overview(name: str) -> None:
    with st.spinner("Reading the catalogue"):
        found = data.facts(name)
    pictures = [(title, data.photo(name, found.version, path, 160)) for title, path in found.photos]
    if pictures:
        drawn.photo_row(pictures)
    drawn.numbers(found)
    drawn.media_line(found)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("How it is split")
        draw_split(name)
    with right:
        st.subheader("What its import said")
        drawn.import_said(data.told(found.info), data.rejects(name), name)
    st.caption(
        f"Version `{found.version[:16]}`: the digest of tables and media; every run names the one it learned from."
    )


def draw_split(name: str) -> None:
    known = data.protocols()
    protocol = st.selectbox(
        "Held out", list(known), index=list(known).index("cold"), key=choice.PROTOCOL, persist_state="session",
        help="By what runs on this catalogue are measured.",
    )  # fmt: skip
    st.caption(literal(known[protocol]))
    try:
        drawn.split_table(data.fingerprint(name, protocol))
    except FusescopeError as refused:
        st.markdown(f":material/block: {literal(str(refused))}")


# ---- Cleaning


def draw_cleaning(name: str) -> None:
    found = data.findings(name)
    if found is None:
        draw_not_looked(name, "This catalogue is too large to be looked at while you wait.")
        return
    counts = [(data.STEPS[one.step].title, len(one.found)) for one in found.detections]
    left, right = st.columns(2, gap="large") if found.scores else (st.container(), None)
    with left:
        st.subheader("What was found")
        draw_steps(counts)
    if right is not None:
        with right:
            st.subheader("Against what was planted")
            draw_scores(found)
    if not found.whole:
        draw_not_looked(name, "Photos against words and words against stars have not been compared yet.")
    draw_list(name, found)


def draw_steps(counts: list[tuple[str, int]]) -> None:
    if st.toggle("Show as table", key=choice.STEPS_AS_TABLE):
        rows = [{"step": title, "found": found} for title, found in counts]
        st.dataframe(rows, hide_index=True, alt=figures.steps_alt(counts))
        return
    st.plotly_chart(
        figures.steps_figure(counts), key="data_steps", config=drawn.PLOTLY, alt=figures.steps_alt(counts)
    )  # fmt: skip
    st.caption("How many places each step repaired or marked. Marked is not changed: a run names the steps it wants.")


def draw_scores(found: data.Findings) -> None:
    titles = {step: told.title for step, told in data.STEPS.items()}
    alt = figures.scores_alt(found.scores, titles)
    if st.toggle("Show as table", key=choice.SCORES_AS_TABLE):
        rows = [{"fault": titles[kind], **{n: round(float(v), 4) for n, v in told.items()}}
                for kind, told in found.scores.items()]  # fmt: skip
        st.dataframe(rows, hide_index=True, alt=alt)
        return
    st.plotly_chart(figures.scores_figure(found.scores, titles), key="data_scores", config=drawn.PLOTLY, alt=alt)
    st.caption(
        "This catalogue was broken on purpose and its truth is known. Precision: share of the found that were broken. "
        "Recall: share of the broken that were found. The truth is used for this picture only, never to find."
    )


def draw_not_looked(name: str, why: str) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            st.markdown(f":material/search: **{why}**  \n:small[:gray[A job encodes what is new and goes through all "
                        "steps; minutes the first time, seconds later.]]")  # fmt: skip
        if st.button("Look deeper", key=choice.LOOK, type=leading(), icon=":material/troubleshoot:"):
            try:
                data.look_deeper(name)
            except FusescopeError as refused:
                parts.refusal(refused, title="This cannot start now")
    draw_jobs(name)


def draw_list(name: str, found: data.Findings) -> None:
    st.subheader("The lists")
    steps = {one.step: one for one in found.detections if one.found}
    if not steps:
        st.markdown(":material/check: No step found anything.")
        return
    choice.keep_among(choice.STEP, list(steps))
    labels = {step: f"{data.STEPS[step].title} ({len(one.found):,})" for step, one in steps.items()}
    first = next((step for step in ("wrong_photo", "near_duplicate") if step in steps), next(iter(steps)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        step = st.selectbox(
            "Step", list(steps), index=list(steps).index(first), key=choice.STEP, on_change=choice.first_page,
            format_func=labels.__getitem__, width=360,
        )  # fmt: skip
        st.download_button(
            "Download all lists", data.marks_csv(found), file_name=f"{name}-findings.csv", mime="text/csv",
            icon=":material/download:", key="data_findings",
        )  # fmt: skip
    drawn.step_words(step)
    marks = steps[step].found
    pages = -(-len(marks) // A_PAGE)
    page = st.pagination(pages, key=choice.LIST_PAGE) if pages > 1 else 1
    shop = services.shop(name)

    def picture(item: Item | None, file: str) -> bytes | None:
        path = file or next(iter(item.media.get("image", ())) if item else iter(()), "")
        return data.photo(name, shop.version, path) if path else None

    grid = st.grid(2 if step in drawn.WORDS or step == "contradictory_review" else 3, min_column_width=280, gap="small")
    for mark in marks[(page - 1) * A_PAGE : page * A_PAGE]:
        with grid.cell():
            drawn.mark_card(step, mark, shop.items.get(mark.item_id), shop.items.get(mark.other), picture)
    st.caption(f"{min(page * A_PAGE, len(marks)):,} of {len(marks):,}, the most suspicious first.")


# ---- Missing


def draw_missing(name: str) -> None:
    found = data.facts(name)
    st.subheader("Which modalities are there")
    alt = figures.presence_alt(found.presence)
    if st.toggle("Show as table", key=choice.PRESENCE_AS_TABLE):
        things = wording.words().items
        rows = [{"has": figures.presence_word(have), things: count} for have, count in found.presence.items()]
        st.dataframe(rows, hide_index=True, alt=alt)
    else:
        st.plotly_chart(figures.presence_figure(found.presence), key="data_presence", config=drawn.PLOTLY, alt=alt)
    whole = sum(count for have, count in found.presence.items() if set(have) == set(found.have))
    st.markdown(
        wording.said(
            f"**{whole:,} of {found.items:,}** products have every modality of this catalogue. A missing one weighs "
            "exactly nothing, unless a run fills it in: then something stands in its place, in training and in answers."
        )
    )
    st.markdown(
        "| `--impute` | what stands in for a missing modality |\n|:--|:--|\n"
        "| `none` | nothing: it weighs nothing |\n"
        "| `mean`, `median` | the middle of the training items that have it |\n"
        "| `knn` | the mean of the five items nearest in what is there |\n"
        "| `ridge` | a linear map from what is there |\n"
        "| `iterative` | every axis from all others in turn, Bayesian ridge |\n"
        "| `adversarial` | a generator that a critic taught to make likely stand-ins |\n"
        "| `generator` | what the adversarial aligner's generator makes of the others |"
    )
    st.caption("Fitted on training items only and kept with the run. Compare the choices on the Models page.")


# ---- Import


def draw_import() -> None:
    left, right = st.columns([3, 4], gap="large")
    with left:
        st.subheader("Bring in a catalogue")
        draw_form()
    with right:
        st.subheader("Under way and done")
        draw_jobs()


def draw_form() -> None:
    st.markdown(
        f"A zip with `items.csv`, and if there are any `interactions.csv` and photos; at most "
        f"{LIMITS.zip_bytes // MB} MB. Other layouts (MMRec, RecBole, Amazon Reviews, LATTICE) are recognised."
    )
    st.download_button(
        "Download a template", data.template(), file_name="fusescope-template.zip", mime="application/zip",
        icon=":material/table_view:", key="data_template",
        help="The tables with example rows and what each column means.",
    )  # fmt: skip
    upload = st.file_uploader("Zip or table", type=["zip", "csv"], key=choice.UPLOAD)
    path = ""
    if data.may_name_a_folder():
        path = st.text_input(
            "or a folder of this machine", key=choice.PATH, placeholder="/home/me/shop",
            help="Shown because you sit at the machine that the app runs on; read where it is, any size.",
        )  # fmt: skip
    proposed = data.suggested_name(upload.name if upload else path)
    name = st.text_input("Name it", key=choice.NAME, placeholder=proposed) or proposed
    if st.button(
        "Import", key=choice.GO, type=leading(), icon=":material/upload:", width="stretch",
        disabled=not (upload or path.strip()),
    ):  # fmt: skip
        try:
            if upload:
                data.import_upload(name, upload.name, upload.getvalue())
            else:
                data.import_path(name, path)
        except FusescopeError as refused:
            parts.refusal(refused, title="This was not imported")


def draw_jobs(target: str = "") -> None:
    active = any(job.active for job in data.jobs())
    st.fragment(watch_jobs, run_every=POLL if active else LOOK)(target)


def watch_jobs(target: str) -> None:
    """Looks again by itself; the page is drawn anew when something ended."""
    found = data.jobs()
    if choice.something_ended([job.id for job in found if job.active]):
        st.rerun()
    shown = [job for job in found if job.kind == "clean" and job.target == target] if target else found
    for job in shown:
        if not (target and job.state == "done"):
            drawn.job_line(job, cancel=data.cancel, resume=data.resume, show=choice.show_catalogue)
    if not shown and not target:
        drawn.empty_jobs()


# ---- the page

st.title("Data")
st.markdown("What a catalogue holds, what was wrong with it and what became of that; and how to bring in your own.")
with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    view = st.segmented_control(
        "Part of this page", choice.VIEWS, default=choice.OVERVIEW, key=choice.VIEW, required=True,
        label_visibility="collapsed", width="content",
    )  # fmt: skip
    try:
        names = [one.name for one in services.catalogues()]
    except FusescopeError as refused:
        parts.refusal(refused, title="The store cannot be read")
        st.stop()
    chosen = ""
    if view != choice.IMPORT and names:
        choice.keep_among(choice.CATALOGUE, names)
        chosen = st.selectbox("Catalogue", names, key=choice.CATALOGUE, width=260, persist_state="session")
wording.use(chosen)
try:
    if view == choice.IMPORT:
        draw_import()
    elif not chosen:
        st.info("There is no catalogue yet. Import one.", icon=":material/storefront:")
        st.button("Import a catalogue", on_click=choice.show_import, key="data_to_import", icon=":material/upload:")
    elif view == choice.CLEANING:
        draw_cleaning(chosen)
    elif view == choice.MISSING:
        draw_missing(chosen)
    elif view == choice.ADD:
        adding.draw_form(chosen)
    else:
        draw_overview(chosen)
except FusescopeError as refused:
    log.info("refused code=%s on the data page", refused.code)
    parts.refusal(refused, title="This cannot be shown")
with st.expander("How is this done?", icon=":material/menu_book:"):
    st.markdown(wording.said(drawn.METHOD))
parts.foot(services.machine().device, "Catalogues stay in the workspace of this installation.")
