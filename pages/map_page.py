"""The aligned space as a picture and in numbers, before and after alignment, with the query placed in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.domain import Query
from core.errors import FusescopeError, ModelError
from core.figures_map import SIGN, slot_word
from pages.shared import errors_visit, map_colours, map_parts, map_services, map_visit, parts, services, visit, wording

log = logging.getLogger("fusescope.pages")
WORST = 8


def draw_controls(shown: map_services.Drawing) -> tuple[str, int, float, bool]:
    """Colour, dimensions, the slider between before and after, lines."""
    colours = map_colours.names(shown)
    if st.session_state.get(map_visit.COLOUR) not in colours:
        st.session_state[map_visit.COLOUR] = colours[0]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        colour = st.selectbox(
            "Colour by", colours, key=map_visit.COLOUR, width=210,
            help="Shape always tells the modality: " + ", ".join(f"{SIGN[s]} {slot_word(s)}" for s in shown.map.slots),
        )  # fmt: skip
        deep = st.segmented_control(
            "Dimensions", [map_visit.FLAT, map_visit.DEEP], key=map_visit.DIMENSIONS, default=map_visit.FLAT,
            required=True,
            help="Turn the 3-D map with the mouse; select there by search or group, the lasso works in 2-D.",
        )  # fmt: skip
        blend = st.select_slider(
            "Before or after alignment", list(map_visit.BLENDS), value="after", key=map_visit.BLEND, width=300,
            help="Before: each encoder's own space, whose axes have nothing in common. In between is drawn, not "
            "computed. Arrow keys move the slider.",
        )  # fmt: skip
        lines = st.toggle(wording.said("Join the points of a product"), key=map_visit.LINES)
    return str(colour), 3 if deep == map_visit.DEEP else 2, map_visit.BLENDS[str(blend)], lines


def draw_search(shown: map_services.Drawing, colour: str) -> str:
    """Search for a product; select a whole group: what a lasso does, from the keyboard."""
    products = map_services.search_labels(shown)
    groups = {f"{name} ({len(ids)})": ids for name, ids in map_colours.groups_of(shown, colour).items()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        found = st.selectbox(
            wording.said("Find a product"), list(products), index=None, key=map_visit.FIND, on_change=map_visit.find,
            args=(products,), width=300, placeholder="type a title",
        )  # fmt: skip
        st.selectbox(
            f"Select a whole group by {colour}", list(groups), index=None, key=map_visit.GROUP, width=300,
            on_change=map_visit.choose_group, args=(groups,), disabled=not groups,
            placeholder="choose a group" if groups else "colour by groups first",
        )  # fmt: skip
        st.toggle("Show as table", key=map_visit.AS_TABLE)
    return products.get(found or "", "")


@st.fragment
def draw_explorer(run: str, pair: str, query: Query | None, asked_key: str) -> None:
    """Picture and what is selected; everything here re-runs alone."""
    shown = map_services.drawing(run)
    if shown is None:
        return
    asked = draw_placing(shown, run, query)
    colour, dimensions, blend, lines = draw_controls(shown)
    found = draw_search(shown, colour)
    picture, beside = st.columns([5, 3], gap="medium")
    with picture:
        if st.session_state.get(map_visit.AS_TABLE):
            rows = map_services.point_rows(shown, dimensions, blend)
            st.dataframe(
                rows, hide_index=True, key="map_table", height=620,
                alt=f"Table of the {len(rows)} points of the map with title, category, modality and place",
            )  # fmt: skip
        else:
            draw_chart(shown, colour, dimensions, blend, lines, found, asked, asked_key)
        if asked and blend < 1:
            st.caption("Your query has a place after alignment only; move the slider to see it.")
    with beside:
        frame = f"{'before' if blend == 0 else 'after'}-{dimensions}"
        map_parts.truth_tiles(shown.map.numbers, shown.map.report, frame, pair)
        draw_selected(shown)
        if asked:
            draw_asked(shown, asked)


def draw_chart(
    shown: map_services.Drawing, colour: str, dimensions: int, blend: float, lines: bool, found: str,
    asked: map_services.Asked | None, asked_key: str,
) -> None:  # fmt: skip
    figure, name = map_services.figure(
        shown, colour=colour, dimensions=dimensions, blend=blend, lines=lines, found=found, asked=asked,
        asked_key=asked_key,
    )  # fmt: skip
    state = {0.0: "before alignment", 1.0: "after alignment"}.get(blend, "between before and after")
    event = st.plotly_chart(
        figure, key=map_visit.CHART, on_select="rerun", selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False, "showSendToCloud": False, "scrollZoom": True},
        alt=f"Map of {len(shown.map.item_ids)} {wording.words().items} in {dimensions} dimensions, {state}, "
        f"coloured by {colour}. "
        "The same points as a table: switch on Show as table.",
    )  # fmt: skip
    points = event["selection"]["points"] if event else []
    map_visit.take(map_services.picked(shown, points), name)


def draw_selected(shown: map_services.Drawing) -> None:
    """One product with its facts, or a group as gallery, table and download."""
    chosen = [item_id for item_id in map_visit.selected() if item_id in shown.row_of]
    if not chosen:
        with st.container(border=True):
            st.markdown("**Nothing selected**")
            st.caption("Click a point, draw a lasso around some, or use the boxes above; photo and facts appear here.")
    elif len(chosen) == 1:
        with st.container(border=True, key="map_product"):
            map_parts.product(shown, chosen[0])
            draw_clear()
    else:
        draw_group(shown, chosen)


def draw_clear() -> None:
    st.button("Clear", key="map_clear", icon=":material/close:", type="tertiary", on_click=map_visit.clear)


def draw_group(shown: map_services.Drawing, chosen: list[str]) -> None:
    rows = map_services.item_rows(shown, chosen)
    with st.container(border=True, key="map_group_panel"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(wording.said(f"**{len(chosen)} products selected**"), width="content")
            draw_clear()
            st.download_button(
                "CSV", map_services.csv_of(rows), file_name="fusescope-selection.csv", mime="text/csv",
                key="map_csv", icon=":material/download:", type="tertiary", on_click="ignore",
                help="What is selected, with category, price, cluster and distance of their sides.",
            )  # fmt: skip
            if st.button(
                "To error analysis", key="map_to_errors", icon=":material/bug_report:", type="tertiary",
                help="The judged cases of what is selected, on the Errors page.",
            ):  # fmt: skip
                errors_visit.narrow_to(tuple(chosen))
                st.switch_page("pages/errors_page.py", query_params={errors_visit.RUN: shown.map.run})
        map_parts.gallery(shown, chosen)
        if len(chosen) > 12:
            st.caption(f"12 of {len(chosen)} photos shown, all are in the table.")
        number = st.column_config.NumberColumn
        st.dataframe(
            rows, hide_index=True, key="map_group_table", height=min(320, 38 + 35 * len(rows)),
            column_order=("title", "category", "price", "cluster", "distance_of_sides", "item_id"),
            column_config={"distance_of_sides": number("distance of sides", format="%.2f"),
                           "price": number(wording.words().price, format="%.2f")},
            alt=wording.said(f"Table of the {len(rows)} selected products"),
        )  # fmt: skip


def draw_placing(shown: map_services.Drawing, run: str, query: Query | None) -> map_services.Asked | None:
    """The query among the points; what cannot be placed is said."""
    if query is None or not query.parts:
        return None
    try:
        with st.spinner("Placing your query. The first time also loads the model.", show_time=True):
            return map_services.placed(shown, run, query)
    except FusescopeError as refused:
        parts.refusal(refused, title="Your query cannot be placed")
    except Exception:
        log.exception("a query could not be placed")
        parts.failure()
    return None


def draw_asked(shown: map_services.Drawing, asked: map_services.Asked) -> None:
    with st.container(border=True, key="map_query"):
        st.markdown("**Your query** :orange-badge[place approximate]")
        map_parts.neighbour_lists(
            shown, {slot: asked.ids(shown, slot) for slot in asked.sides}, "Its ten nearest, the first five shown"
        )  # fmt: skip


def draw_pair(run: str) -> str:
    """Which two modalities are compared; a choice only where there are more than two. "" where none are."""
    try:
        shown = map_services.drawing(run)
    except FusescopeError:
        return ""  # the map itself says why
    pairs = list(shown.map.report["pairs"]) if shown else []
    if len(pairs) < 2:
        return next(iter(pairs), "")
    if st.session_state.get(map_visit.PAIR) not in pairs:
        st.session_state[map_visit.PAIR] = pairs[0]
    chosen = st.selectbox(
        "Numbers of the pair", pairs, key=map_visit.PAIR, format_func=map_parts.pair_words, width=210,
        help="Two modalities whose gap, finding of each other and worst pairs are shown below. The picture has all.",
    )  # fmt: skip
    return str(chosen)


def draw_numbers(shown: map_services.Drawing, pair: str) -> None:
    """Every number of the pair, before and after, with its chance level; several pairs beside each other first."""
    report = shown.map.report
    st.subheader("The aligned space in numbers", anchor=False)
    rows = map_parts.space_table(report, pair)
    if not rows:
        st.caption(wording.said("Too few products have two modalities, so there is nothing to compare."))
        return
    lacking = report["left_out"].get(pair)
    st.caption(
        f"{map_parts.measured_on(report)} Across modalities, *before* is chance by definition: see Method."
        + (wording.said(f" {lacking} products lack {map_parts.either_words(pair)}.") if lacking else "")
    )
    if len(report["pairs"]) > 1:
        draw_pairs(report)
        st.markdown(f"**{map_parts.pair_words(pair).capitalize()}**, before and after alignment")
    st.dataframe(
        rows, hide_index=True, key="map_numbers", height="content",
        alt=f"Table of {len(rows)} numbers of {map_parts.pair_words(pair)}, before and after alignment, with chance",
    )  # fmt: skip


def draw_pairs(report: Mapping[str, Any]) -> None:
    rows = map_parts.pairs_table(report)
    number, places = st.column_config.NumberColumn, ("recall@10", "the other way", "at best", "chance", "gap")
    st.dataframe(
        rows, hide_index=True, key="map_pairs", height="content",
        column_config={name: number(format="%.2f") for name in (*places, "alignment")},
        alt=f"Table of {len(rows)} pairs of modalities: how often the first finds the second within ten and the other "
        "way, what could be reached at best, chance, gap and alignment",
    )  # fmt: skip


def draw_worst(shown: map_services.Drawing, pair: str) -> None:
    """Pairs that may not belong together: where wrong photos are."""
    report = shown.map.report
    found, compared = map_parts.worst_of(report, pair)
    pairs = found[:WORST]
    if not pairs:
        return
    st.subheader("Pairs that may not belong together", anchor=False)
    faults = report.get("faults", {}).get("wrong_photo") if pair == "text-image" else None
    known = ""
    if faults and faults["all"]["auc"] is not None:
        unseen = faults["held_out"]["auc"]
        known = wording.said(
            f" Here the truth is known: this list finds the {faults['all']['wrong']} planted wrong photos with AUC "
            f"{faults['all']['auc']:.2f}" + (f", {unseen:.2f} on products not trained on." if unseen else ".")
        )
    st.caption(
        wording.said(f"The {len(pairs)} least likely of {compared:,} pairs of {map_parts.pair_words(pair)}: both sides "
                     f"of one product, {map_parts.JUDGED[pairs[0].get('judge', 'aligner')]}") + known
    )  # fmt: skip
    grid = st.grid(4, min_column_width=150, gap="small", border=True)
    for place, pair in enumerate(pairs, start=1):
        with grid.cell(), st.container(gap="xsmall"):
            map_parts.worst_pair(shown, pair, place)


@st.fragment(run_every=1.0)
def watch(run: str, key: str) -> None:
    """Progress of the drawing; the page is drawn anew when more of the map is there or the work has ended."""
    job, shown = map_services.newest_job(run), map_services.drawing(run)
    if job is None or not job.active or (shown and shown.key) != (key or None):
        st.rerun()
    map_parts.progress(job.label, job.fraction, job.remaining)


def draw_making(run: str, shown: map_services.Drawing | None) -> None:
    """Starts the drawing at the first visit; then progress, or how it ended."""
    if shown is not None and shown.map.whole:
        return
    job = map_services.newest_job(run)
    if job is None or job.state == "done":  # never drawn, or drawn for other weights or another catalogue
        map_services.start(run)
        job = map_services.newest_job(run)
    if job is not None and job.active:
        if shown is None:
            st.markdown("The map of this run is drawn for the first time. A picture by principal axes comes first.")
            st.skeleton(height=360)
        watch(run, shown.key if shown else "")
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("#### :material/do_not_disturb_on: The map is not finished")
        st.text(f"{job.message} ({job.code})" if job and job.code else (job.message if job else "nobody drew it yet"))
        st.button("Draw it again", key="map_again", on_click=map_services.start, args=(run,), icon=":material/refresh:")


def draw_page() -> None:
    st.header("Map", anchor=False)
    asked, notices = visit.address()
    if not asked:
        asked = visit.return_to_last()
    parts.message_cards(notices, refused=False)
    query: Query | None = None
    try:
        names = [run.run for run in services.runs()]
        if not names:
            raise ModelError("E-MODEL-EMPTY", "no trained run is here; make one: python -m core train --catalogue NAME")
    except FusescopeError as missing:
        parts.refusal(missing, title="There is nothing to draw")
        return
    asked_run = ""
    if asked:
        try:
            query, asked_run = services.recall(asked.query, asked.story, asked.step)
        except FusescopeError as unknown:
            parts.refusal(unknown, title="This address leads nowhere")
    if st.session_state.get(map_visit.RUN) not in names:
        st.session_state[map_visit.RUN] = asked_run if asked_run in names else names[0]
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        run = st.selectbox(
            "Run", names, key=map_visit.RUN, on_change=map_visit.change_run, width=300,
            help="A trained model together with its catalogue; every run has a space of its own.",
        )  # fmt: skip
        pair = draw_pair(run)
        with st.popover("Method", icon=":material/help:", type="tertiary"):
            wording.use_run(run)
            st.markdown(wording.said(map_parts.METHOD))
    draw_map(run, pair, query, f"{asked.query}{asked.story}{asked.step}" if query else "")


def draw_map(run: str, pair: str, query: Query | None, asked_key: str) -> None:
    try:
        shown = map_services.drawing(run)
        draw_making(run, shown)
    except FusescopeError as refused:
        parts.refusal(refused, title="This map cannot be shown")
        st.button("Draw it again", key="map_again", on_click=map_services.start, args=(run,), icon=":material/refresh:")
        return
    if shown is None:
        return
    if shown.map.method != "UMAP" and shown.map.whole:
        st.caption(f"{int(shown.map.present.sum())} points are too few for UMAP; this is a picture by principal axes.")
    draw_explorer(run, pair, query, asked_key)
    draw_numbers(shown, pair)
    draw_worst(shown, pair)


draw_page()
parts.foot(services.machine().device, "Placing a query loads the model; looking at the map does not.")
