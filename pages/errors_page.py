"""Find what is wrong: every held-out question of a run as a case, slices that do worse, labels and notes of people."""

from __future__ import annotations

import streamlit as st

from core.errors import FusescopeError, StoreError
from core.figures_errors import slices_figure
from pages.shared import errors_parts, errors_people, errors_stars, errors_views, parts, services, wording
from pages.shared import errors_services as errors
from pages.shared import errors_visit as visit
from pages.shared.theme import literal

CASES, SLICES, MISLED, RUNS, PEOPLE = "Cases", "Slices", "Which modality misled", "Two runs", "Labels"
VIEWS = (CASES, SLICES, MISLED, RUNS, PEOPLE)
METRICS = ("mrr", "recall@10", "recall@1", "loss")


def draw_choice() -> errors.CaseSet | None:
    """Which run and which kind of cases."""
    names = [run.run for run in services.runs()]
    if not names:
        return None
    columns = st.columns([3, 4, 2, 1], vertical_alignment="bottom")
    run = columns[0].selectbox(
        "Run", names, key=visit.RUN, bind="query-params", persist_state="session", on_change=visit.first_page,
        help="A trained model together with the catalogue it ranks.",
    )  # fmt: skip
    wording.use_run(run)
    kind = columns[1].segmented_control(
        "Cases", errors.KINDS, key=visit.KIND, bind="query-params", required=True, default=errors.KINDS[0],
        persist_state="session", on_change=visit.first_page,
        format_func=wording.said,
        help=wording.said("What is asked: the review and photos of what is held out, whatever it has, or a known "
                          "user's next like; stars: of a run that foretells ratings."),
    )  # fmt: skip
    part = columns[2].segmented_control(
        "Part", ("test", "validation"), key=visit.PART, bind="query-params", required=True, default="test",
        persist_state="session", on_change=visit.first_page, help="Held out from training either way.",
    )  # fmt: skip
    with columns[3].popover("Method", icon=":material/help:", type="tertiary"):
        st.markdown(wording.said(errors_parts.METHOD))
    return errors.case_set(run, kind or errors.KINDS[0], part or "test")


def draw_slice_line(found: errors.CaseBook, name: str, conditions: tuple) -> None:
    """The slice that narrows everything below, and the way out of it."""
    size = int(found.members(conditions).sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/filter_alt: **{literal(name)}** :gray[{size:,} cases]", width="content")
        st.button(
            "Leave the slice", key="errors_leave_slice", type="tertiary", icon=":material/close:",
            on_click=visit.open_slice, args=("",),
        )  # fmt: skip


# ---- cases


def draw_cases(found: errors.CaseBook, conditions: tuple, said: list) -> None:
    """The list on the left, one case on the right."""
    if visit.items():
        with st.container(horizontal=True, vertical_alignment="center"):
            told = wording.said(f"{len(visit.items())} products selected on the Map")
            st.markdown(f":material/lasso_select: **{told}**", width="content")
            st.button(
                "Leave the selection", key="errors_leave_items", type="tertiary", icon=":material/close:",
                on_click=visit.narrow_to, args=((),),
            )  # fmt: skip
    left, right = st.columns([5, 6], gap="medium")
    with left:
        places = draw_list(found, conditions, said)
    with right:
        if not len(places):
            told = "No case passes these filters. Widen them, or leave the slice or the selection."
            st.info(told, icon=":material/filter_alt_off:")
        else:
            draw_case(found, places, said)


def draw_list(found: errors.CaseBook, conditions: tuple, said: list) -> list[int]:
    """Filters, the page of the list, labels for many; returns all places that pass."""
    first, second, third = st.columns([2, 2, 2])
    order = first.selectbox(
        "Order", list(errors.ORDERS), format_func=errors.ORDERS.get, key=visit.ORDER, bind="query-params",
        on_change=visit.first_page, help="Most surprising: one modality alone finds it, together they lose it.",
    )  # fmt: skip
    show = second.selectbox("Show", errors.SHOWS, key=visit.SHOW, bind="query-params", on_change=visit.first_page)
    labels = sorted({label for one in said for label in one.labels} | set(errors.label_set()))
    label = third.selectbox(
        "Label", labels, index=None, key=visit.LABEL, placeholder="any", bind="query-params",
        on_change=visit.first_page,
    )  # fmt: skip
    words = st.text_input(
        "Search", key=visit.SEARCH, bind="query-params",
        placeholder=wording.said("words of the review, product or case"),
        label_visibility="collapsed", icon=":material/search:", on_change=visit.first_page,
    )  # fmt: skip
    filters = errors.Filters(order=order, show=show, words=words or "", label=label or "", author=visit.author(),
                             items=visit.items())  # fmt: skip
    places = errors.listed(found, conditions, filters, said).tolist()
    pages = max(1, -(-len(places) // errors.ON_A_PAGE))
    if st.session_state.get(visit.PAGE, 1) > pages:
        st.session_state[visit.PAGE] = 1
    slot = st.container()
    page = st.pagination(pages, key=visit.PAGE) if pages > 1 else 1
    shown = places[(page - 1) * errors.ON_A_PAGE : page * errors.ON_A_PAGE]
    keys = tuple(str(found.cases.key[at]) for at in shown)
    with slot:
        st.caption(
            f"{len(places):,} of {len(found.cases):,} cases, {errors.ORDERS[order]}. Choose a row to open it, several "
            "to label them at once; **N** and **B** go to the next and back."
        )
        if shown:
            st.dataframe(
                errors.rows(found, shown, errors.by_case(said)), hide_index=True, height="content", row_height=30,
                column_config=errors_parts.column_names(found.cases.modalities), key=visit.LIST,
                selection_mode="multi-row", on_select=lambda: visit.open_row(keys, visit.LIST),
                alt=f"Table of {len(shown)} cases: rank of the right {wording.words().item}, fused, alone, and labels",
            )  # fmt: skip
    chosen = [shown[row] for row in visit.chosen_rows(visit.LIST) if row < len(shown)]
    if len(chosen) > 1:
        errors_people.draw_many(found, chosen)
    return places


def draw_case(found: errors.CaseBook, places: list[int], said: list) -> None:
    """One case: question, truth, what was shown, who misled, what people say; next and previous by key."""
    key = visit.case()
    place = found.cases.place_of(key) if key else None
    if place is None:
        place = places[0]
    at = places.index(place) if place in places else None
    its = found.cases
    row = found.catalogue.interactions[int(its.row[place])]
    draw_steps(found, places, at)
    alone = {m: int(its.alone[place, j]) for j, m in enumerate(its.modalities)}
    st.markdown(errors_parts.ranks_line(int(its.rank[place]), alone, int(its.about["items"])))
    with st.container(horizontal=True, gap="small", key="errors_query"):
        for number, photo in enumerate(errors.photos(found, place), start=1):
            st.image(photo, width=120, alt=f"Photo {number} of the question")
        with st.container(width="stretch"):
            stars = "" if row.rating is None else f" · {row.rating:g} stars"
            st.markdown(f":small[:gray[asked by {literal(row.user_id)}{stars}]]")
            st.markdown(f"“{literal(row.text)}”" if row.text else ":gray[no words]")
    draw_products(found, place)
    one, other = st.columns(2, gap="medium")
    with one:
        errors_parts.misled(
            {m: float(its.blame[place, j]) for j, m in enumerate(its.modalities)},
            {m: float(its.pull[place, j]) for j, m in enumerate(its.modalities)},
        )
        draw_doors(found, place, said)
    with other:
        errors_people.draw_labels(found, place, said)


def draw_steps(found: errors.CaseBook, places: list[int], at: int | None) -> None:
    """Where in the list this is, and the way to its neighbours."""
    keys = found.cases.key
    before = str(keys[places[at - 1]]) if at else ""
    after = str(keys[places[at + 1]]) if at is not None and at + 1 < len(places) else ""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        told = f"Case {at + 1:,} of {len(places):,}" if at is not None else "A case outside of this list"
        st.markdown(f"##### {told}", width="content")
        with st.container(horizontal=True, width="content", gap="xsmall"):
            st.button("Back", key="errors_back", icon=":material/arrow_back:", shortcut="B", disabled=not before,
                      on_click=visit.open_case, args=(before,))  # fmt: skip
            st.button("Next", key="errors_next", icon=":material/arrow_forward:", shortcut="N", disabled=not after,
                      on_click=visit.open_case, args=(after,))  # fmt: skip


def draw_products(found: errors.CaseBook, place: int) -> None:
    """The truth and what was shown, side by side."""
    shop = services.shop(found.catalogue.name)
    truth = str(found.cases.item[place])
    shown = [str(item) for item in found.cases.shown[place] if item]
    st.markdown("**What was shown, best first**, and the right one")
    products = [(item, f"{number}.") for number, item in enumerate(shown, start=1)]
    if truth not in shown:
        products = [(truth, ""), *products]
    for column, (item, caption) in zip(st.columns(6, gap="small"), products, strict=False):
        with column:
            picture = services.picture(shop, item, 160)
            errors_parts.product(item, shop.items.get(item), picture, caption, truth=item == truth)


def draw_doors(found: errors.CaseBook, place: int, said: list) -> None:
    """To the microscope, to the question, to a file."""
    key = str(found.cases.key[place])
    with st.container(horizontal=True, gap="xsmall"):
        told = "Opens the question on the Recommend page; from there to the microscope and the what-if."
        if st.button("Ask it again", key="errors_ask", type="tertiary", icon=":material/search:", help=told):
            try:
                ident = errors.as_query(found, place)
            except FusescopeError as refused:
                parts.refusal(refused, title="The question cannot be asked again")
            else:
                st.switch_page("pages/recommend_page.py", query_params={"recommend_query": ident})
        st.download_button(
            "Report", lambda: errors.report(found, [place], f"Case {key}", said), file_name=f"fusescope-{key}.html",
            mime="text/html", key="errors_report", type="tertiary", icon=":material/download:", on_click="ignore",
            help="One HTML file with photos and numbers that works without network.",
        )  # fmt: skip


# ---- slices


def draw_slices(found: errors.CaseBook, conditions: tuple, name: str) -> None:
    """Slices that do worse than the rest, the dearest first; the chosen one in full."""
    metric = st.segmented_control(
        "Compared by", METRICS, key=visit.METRIC, bind="query-params", required=True, default=METRICS[0],
        help="mrr: mean of 1 / rank. recall@K: share with the truth among the first K. loss: lower is better.",
    )  # fmt: skip
    search = found.searches[metric or METRICS[0]]
    names = {one.id: one.name for one in errors.saved_slices(found.catalogue.name)}
    st.caption(
        f"{search.tested:,} slices looked at, {search.found:,} found (Holm's corrected p below 5 %); listed are "
        f"{len(search.slices)}, those found first, then the dearest. Choose a row to narrow every view to it."
    )
    if note := errors.cleaning_note(found):
        st.caption(f":material/cleaning_services: {note}")
    if not search.slices:
        few = wording.said("No slice is large enough to judge: 15 cases of 6 products are needed.")
        st.info(few, icon=":material/info:")
        return
    top = search.slices[:12]
    rows = errors.slice_rows(search.slices, names)
    if not st.toggle("Show as table only", key=visit.AS_TABLE):
        labels = [str(row["slice"]) for row in rows[:12]]
        st.plotly_chart(
            slices_figure(labels, [one.difference for one in top], [one.low for one in top],
                          [one.high for one in top], [one.found for one in top], search.metric),
            key="errors_slices_chart", config=errors_parts.PLOT,
            alt="Difference of the 12 dearest slices to the rest, with 95 percent intervals; the table below says it",
        )  # fmt: skip
    idents = tuple(errors.slice_ident(one.conditions) for one in search.slices)
    number = st.column_config.NumberColumn
    st.dataframe(
        rows, hide_index=True, key=visit.SLICES, selection_mode="single-row", height=330,
        on_select=lambda: visit.open_slice_row(idents),
        column_config={
            "found": st.column_config.CheckboxColumn("found", width=58, help="Holm's corrected p is below 5 %"),
            "slice": st.column_config.TextColumn("slice", width="large"),
            "value": number(search.metric, format="%.3f"), "rest": number("the rest", format="%.3f"),
            "difference": number("difference", format="%+.3f"), "low": number("95 % from", format="%+.3f"),
            "high": number("to", format="%+.3f"), "holm": number("Holm p", format="%.2g"),
            "groups": number(wording.words().items, help="How many of them, or users, the cases belong to"),
        },
        alt=f"Table of {len(rows)} slices with size, metric, difference, interval and corrected p",
    )  # fmt: skip
    if conditions:
        errors_people.draw_slice(found, conditions, name, search.metric)


st.header("Errors", anchor=False)
try:
    wanted = draw_choice()
    found = errors.book(wanted) if wanted and wanted.kind != errors.STARS else None
except (FusescopeError, StoreError) as refused:
    parts.refusal(refused, title="These cases cannot be shown")
    st.stop()
if wanted is None:
    st.info(
        "No trained run is here yet. Train one on the Models page, then come back.", icon=":material/model_training:"
    )
elif wanted.kind == errors.STARS:
    errors_stars.draw_stars(wanted)
elif found is None:
    errors_views.draw_missing(wanted)
else:
    said = errors.said(found.catalogue.name)
    ident = visit.slice_id()
    name, conditions = errors.find_slice(found, ident) if ident else ("", ())
    if ident and not conditions:
        st.warning(f'No slice is known here under "{ident}"; all cases are shown. (E-URL-ITEM)')
    view = st.segmented_control(
        "View", VIEWS, key=visit.VIEW, bind="query-params", required=True, default=CASES,
        label_visibility="collapsed",
    )  # fmt: skip
    if conditions:
        draw_slice_line(found, name, conditions)
    if view == SLICES:
        draw_slices(found, conditions, name)
    elif view == MISLED:
        errors_views.draw_misled(found, conditions)
    elif view == RUNS:
        errors_views.draw_runs(found, wanted, conditions)
    elif view == PEOPLE:
        errors_people.draw_people(found, said)
    else:
        draw_cases(found, conditions, said)
parts.foot(services.machine().device, "Cases were judged when they were made; this page only reads them.")
