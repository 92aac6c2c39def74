"""Train runs in a queue with live curves, compare all of them on one board, put two side by side."""

from __future__ import annotations

import logging
from dataclasses import replace

import streamlit as st

from core.config import RunSettings
from core.domain import Query
from core.errors import FusescopeError
from core.figures_training import intervals_alt, intervals_figure
from pages.shared import missing_parts, parts, services, wording
from pages.shared import models_parts as drawn
from pages.shared import models_services as models
from pages.shared import models_visit as choice
from pages.shared.models_form import draw_more, picked
from pages.shared.theme import leading, literal

log = logging.getLogger("fusescope.pages")
STANDARD = RunSettings()
POLL, LOOK = 2.0, 15.0  # seconds between two looks at the queue, while something is under way and while nothing is
MOST_EPOCHS = 200
SHOWN_VERDICTS = 6


# ---- Train


def draw_form() -> None:
    """Methods, protocol, length; what cannot be combined is said, and the button is then off."""
    with st.spinner("Loading the methods"):
        known = models.choices()
    catalogues = [one.name for one in services.catalogues()]
    choice.keep_among(choice.CATALOGUE, catalogues)
    catalogue = st.selectbox("Catalogue", catalogues, key=choice.CATALOGUE, persist_state="session")
    wording.use(catalogue)
    who = wording.said("Who scores the products, for a query or a user.")
    rank = picked("Ranker", known.rank, choice.RANK, STANDARD.rank, who)
    left, right = st.columns(2)
    with left:
        align = picked("Aligner", known.align, choice.ALIGN, STANDARD.align, "Brings words, photos ... into one space.")
    with right:
        fuse = picked("Fuser", known.fuse, choice.FUSE, STANDARD.fuse, "Makes one vector of the modalities present.")
    protocol = picked("Held out", known.protocol, choice.PROTOCOL, STANDARD.protocol, "By what the run is measured.")
    left, right = st.columns(2)
    usual = RunSettings(rank=rank)  # what this ranker needs where nothing else is asked for
    epochs = left.number_input(
        "Epochs, at most", 1, MOST_EPOCHS, usual.epochs, key=f"{choice.EPOCHS}_{rank}", persist_state="session",
        help="Training ends earlier when nothing gets better for some epochs.",
    )  # fmt: skip
    seed = right.number_input(
        "Seed", 0, 2**31 - 1, STANDARD.seed, key=choice.SEED, persist_state="session",
        help="Of everything that is drawn. The same seed gives the same weights, here and on the command line.",
    )  # fmt: skip
    settings = replace(
        usual, catalogue=catalogue, align=align, fuse=fuse, protocol=protocol, epochs=int(epochs),
        seed=int(seed), **draw_more(known, rank),
    )  # fmt: skip
    grid = draw_grid(list(known.align), list(known.fuse))
    refused, remarks = models.misfits(settings)
    for sentence in refused:
        st.warning(literal(sentence), icon=":material/block:")
    for sentence in remarks:
        st.caption(f":material/info: {literal(sentence)}")
    count = len(grid["align"]) * len(grid["fuse"]) if grid else 1
    if st.button(
        "Train" if count == 1 else f"Train {count} pairs", key=choice.GO, type=leading(), width="stretch",
        icon=":material/model_training:", disabled=bool(refused) or not count,
    ):  # fmt: skip
        submit(settings, grid)


def draw_grid(aligners: list[str], fusers: list[str]) -> dict[str, tuple[str, ...]] | None:
    """A search over pairs instead of one run."""
    if not st.toggle(
        "Search over pairs", key=choice.GRID,
        help="Trains every pair of these aligners and fusers, one after another. What is done is not done again.",
    ):  # fmt: skip
        return None
    align = st.multiselect("Aligners", aligners, default=aligners, key=choice.GRID_ALIGN)
    fuse = st.multiselect("Fusers", fusers, default=fusers, key=choice.GRID_FUSE)
    return {"align": tuple(align), "fuse": tuple(fuse)}


def submit(settings: RunSettings, grid: dict[str, tuple[str, ...]] | None) -> None:
    """A job of one's own; the same press twice in a moment is one job."""
    if choice.is_double_click(f"{settings}{grid}"):
        return
    try:
        job = models.start(settings, grid)
    except FusescopeError as refused:
        parts.refusal(refused, title="This training could not be started")
        return
    choice.watch(job.target)
    st.toast(f"{job.target} is in the queue", icon=":material/hourglass_empty:")


def draw_queue() -> None:
    """What works, what waits, what ended; and the curves of one of them. Runs again every few seconds by itself."""
    lines = models.queue()
    if choice.something_ended([line.job.id for line in lines if line.job.active]):
        st.rerun()
    if not lines:
        drawn.empty_queue()
        return
    names = [line.job.target for line in lines]
    watched = st.session_state.get(choice.WATCHED)
    watched = watched if watched in names else names[0]
    active = [line for line in lines if line.job.active]
    for line in active:
        draw_line(line, watched)
    run, rows = models.curves(next(line.job for line in lines if line.job.target == watched))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**Curves of {literal(run)}**", width="content")
        as_table = st.toggle("As table", key=choice.CURVES_AS_TABLE)
    drawn.curves(run, rows, as_table=as_table)
    if len(lines) > len(active):
        st.markdown("**Earlier**")
    for line in lines[len(active) :]:
        draw_line(line, watched)


def draw_line(line: models.Training, watched: str) -> None:
    metrics = (line.job.result or {}).get("metrics", {})
    drawn.job_line(
        line, models.told(metrics), watched=line.job.target == watched, watch=choice.watch, cancel=models.cancel,
        resume=models.resume,
    )  # fmt: skip


def draw_training() -> None:
    left, queue = st.columns([1, 2], gap="medium")
    with left:
        draw_form()
    with queue:
        st.markdown("#### Queue")
        busy = any(line.job.active for line in models.queue())
        st.fragment(draw_queue, run_every=POLL if busy else LOOK)()


# ---- Leaderboard


def draw_leaderboard() -> None:
    groups = models.groups()
    if not groups:
        with st.container(border=True, horizontal_alignment="center"):
            st.markdown("#### No run has been measured yet", text_alignment="center")
            st.markdown("Train one: it stands here when it is done.", text_alignment="center")
        return
    labels = [group.label for group in groups]
    choice.keep_among(choice.BOARD, labels)
    columns = st.columns([3, 2, 2, 2, 3], vertical_alignment="bottom")
    label = columns[0].selectbox(
        "Data", labels, key=choice.BOARD, persist_state="session",
        help="Runs are compared only where catalogue and split are the same, to the last row.",
    )  # fmt: skip
    group = groups[labels.index(label)]
    wording.use(group.catalogue)
    part = columns[1].selectbox("Part", ["test", "validation"], key=choice.PART, persist_state="session")
    told = models.subjects(group, part)
    if not told:
        st.caption(f"No run of {literal(group.label)} has figures of its {part} part.")
        return
    choice.keep_among(choice.SUBJECT, list(told))
    subject = columns[2].selectbox(
        "Asked by", list(told), key=choice.SUBJECT, persist_state="session",
        help=wording.said("users: the next item of known users. Others: held-out queries of warm or cold products."),
    )  # fmt: skip
    choice.keep_among(choice.METRIC, told[subject])
    metric = columns[3].selectbox("Figure", told[subject], key=choice.METRIC, persist_state="session")
    choice.keep_among(choice.REFERENCE, list(group.runs))
    reference = columns[4].selectbox(
        "Tested against", group.runs, index=None, key=choice.REFERENCE, placeholder="the best", persist_state="session"
    )
    over_seeds = st.toggle(
        "Average over seeds", key=choice.OVER_SEEDS,
        help="Runs that differ in their seed alone become one line; every user's value is averaged first.",
    )  # fmt: skip
    try:
        board = models.board(group, subject, metric, part, "" if over_seeds else reference or "", over_seeds)
    except FusescopeError as refused:
        parts.refusal(refused, title="This board cannot be drawn")
        return
    draw_board(board)


def draw_board(board: models.Board) -> None:
    """Chart or table of one board, its caution, its searches, and the door to Recommend."""
    if board.caution:
        st.warning(literal(board.caution), icon=":material/warning:")
    rows, lines = models.board_rows(board), models.intervals(board)
    floors = {name: one.value for name, one in board.floors.items()}
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"#### {len(board.places)} runs :gray[over {board.units} {units_of(board)}]", width="content")
        with st.container(horizontal=True, width="content", gap="xsmall", vertical_alignment="center"):
            as_table = st.toggle("As table", key=choice.BOARD_AS_TABLE)
            with st.popover("Method", icon=":material/help:", type="tertiary"):
                st.markdown(wording.said(drawn.METHOD))
            st.download_button(
                "CSV", models.as_csv(rows), file_name="fusescope-leaderboard.csv", mime="text/csv", key="models_csv",
                icon=":material/download:", type="tertiary", on_click="ignore",
            )  # fmt: skip
    title = f"{board.subject} {board.metric} ({board.part})"
    if as_table:
        draw_board_table(rows, title)
    elif lines:
        st.plotly_chart(
            intervals_figure(lines, floors, title), key="models_board_chart", config=drawn.PLOTLY,
            alt=intervals_alt(lines, floors, title),
        )  # fmt: skip
        draw_verdicts(board)
    st.caption(fingerprint_line(board))
    if caution := models.rating_caution(board):
        st.warning(literal(f"{caution[0].upper()}{caution[1:]}."), icon=":material/star_half:")
    drawn.choices_of_a_search(board)
    draw_doors([place.runs[0] for place in board.places])


def draw_verdicts(board: models.Board) -> None:
    """The paired tests in words, the surest first."""
    draw_unmeasured([run for place in board.places if place.low is None for run in place.runs])
    tested = sorted((place for place in board.places if place.against), key=lambda place: (place.p, place.name))
    if not tested:
        return
    st.markdown(f"Against **{literal(board.reference)}** on the same {units_of(board)}:")
    st.markdown("  \n".join(verdict(place) for place in tested[:SHOWN_VERDICTS]))
    if len(tested) > SHOWN_VERDICTS:
        st.caption(f"The {SHOWN_VERDICTS} surest of {len(tested)} comparisons; the table has all of them.")


def draw_unmeasured(runs: list[str]) -> None:
    """Runs that came without the values of every user: told so, with the button that makes them."""
    for run in runs[:3]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{literal(run)} came with means alone: no interval, no test.", width="content")
            if st.button("Measure it", key=f"models_measure_{run}", type="tertiary", icon=":material/straighten:"):
                try:
                    models.measure(run)
                except FusescopeError as refused:
                    parts.refusal(refused, title="It cannot be measured now")
                else:
                    st.toast(f"{run} is being measured; see the queue under Train", icon=":material/straighten:")


def verdict(place: models.Place) -> str:
    """One comparison in words: by how much, how sure."""
    sure = place.p is not None and place.p < 0.05
    word = ("better" if place.against.value > 0 else "worse") if sure else "no sure difference"
    span = f"{place.against.low:+.4f} to {place.against.high:+.4f}"
    return (
        f":small[**{literal(place.name)}** {literal(f'{place.against.value:+.4f}')} ({literal(span)}), "
        f"p {place.p:.4f} · {word}]"
    )


def units_of(board: models.Board) -> str:
    return "users" if board.subject == "users" else wording.words().items


def draw_board_table(rows: list[dict[str, object]], title: str) -> None:
    number = st.column_config.NumberColumn
    columns = {
        name: number(label, format=form)
        for name, label, form in (
            ("value", "mean", "%.4f"), ("low", "95 % from", "%.4f"), ("high", "to", "%.4f"),
            ("spread", "SD of seeds", "%.4f"),
            ("difference", "difference", "%+.4f"), ("difference_low", "from", "%+.4f"),
            ("difference_high", "to ", "%+.4f"),
            ("p_holm", "p (Holm)", "%.4f"), ("differ", "differ", "%d"), ("coverage", "coverage@10", "%.3f"),
            ("gini", "Gini@10", "%.3f"), ("novelty", "novelty@10, bits", "%.2f"), ("aplt", "long tail@10", "%.3f"),
            ("popularity", "mean popularity", "%.1f"),
        )
    }  # fmt: skip
    hidden = dict.fromkeys(("metric", "part", "catalogue", "protocol", "split"))
    st.dataframe(
        rows, hide_index=True, column_config={**columns, **hidden}, key="models_board_table", height="content",
        alt=f"Table of {len(rows)} runs by {title}",
    )  # fmt: skip


def fingerprint_line(board: models.Board) -> str:
    """Which data these numbers stand on."""
    data, things = board.fingerprint, wording.words().items
    return (
        f"{literal(board.catalogue)}, protocol {literal(board.protocol)}, split {data.sha}: {data.users:,} users, "
        f"{data.items:,} {things}, {data.train:,} rows in training, {data.validation:,} in validation, {data.test:,} "
        f"in test, {data.cold:,} of cold {things}; {data.tested_users_with_training:,} tested users have training rows."
    )


def draw_doors(runs: list[str]) -> None:
    """From a run to what it recommends."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run = st.selectbox("A run", runs, key="models_door", width=320)
        if st.button("Ask it on Recommend", key="models_ask", icon=":material/search:"):
            choice.choose_run(run)
            st.switch_page("pages/recommend_page.py")


# ---- Side by side


def draw_sides() -> None:
    names = models.run_names()
    if len(names) < 2:
        with st.container(border=True, horizontal_alignment="center"):
            st.markdown("#### One run alone has nobody to stand beside", text_alignment="center")
            st.markdown("Train a second one.", text_alignment="center")
        return
    choice.keep_among(choice.LEFT, names)
    first, second, how = st.columns([3, 3, 2], vertical_alignment="bottom")
    left = first.selectbox("This run", names, key=choice.LEFT, persist_state="session")
    others = [name for name in models.run_names(models.catalogue_of(left)) if name != left]
    if not others:
        st.caption(f"No other run ranks {literal(models.catalogue_of(left))}. Train one on it.")
        return
    choice.keep_among(choice.RIGHT, others)
    right = second.selectbox("Beside", others, key=choice.RIGHT, persist_state="session")
    ways = ["a user", "words"]
    asked_by = how.segmented_control("Asked by", ways, key=choice.ASKED_BY, required=True, default=ways[0])
    query = draw_question(left, asked_by)
    if query is None:
        st.caption("Choose a user, or write a few words.")
        return
    with st.spinner("Asking both runs. The first question loads their models.", show_time=True):
        ours, other = models.answers([left, right], query)
    shop = services.shop(models.catalogue_of(left))
    shown = {item.item_id for one in (ours, other) if not isinstance(one, FusescopeError)
             for item in one.items[: models.COMPARED]}  # fmt: skip
    pictures = {item_id: services.picture(shop, item_id, 96) for item_id in shown}
    for place, one, against, name in zip(
        st.columns(2, border=True), (ours, other), (other, ours), (left, right), strict=True
    ):
        with place:
            drawn.side(one, against, models.COMPARED, pictures, name)
    st.caption("Arrows: places won or lost against the other run. Scores of two runs are in different units.")


def draw_question(run: str, asked_by: str | None) -> Query | None:
    """The same user or the same words for both runs."""
    if asked_by == "words":
        words = st.text_input("Words", key=choice.WORDS, placeholder="keeps tea hot, deep blue glaze", max_chars=500)
        return Query.of(text=words) if words.strip() else None
    users = models.known_users(run)
    choice.keep_among(choice.USER, users)
    user = st.selectbox("User", users, index=None, key=choice.USER, placeholder="nobody yet", persist_state="session")
    return Query(user=user) if user else None


st.header("Models", anchor=False)
view = st.segmented_control(
    "View", choice.VIEWS, key=choice.VIEW, required=True, default=choice.TRAIN, label_visibility="collapsed",
    persist_state="session",
)  # fmt: skip
try:
    views = {choice.LEADERBOARD: draw_leaderboard, choice.SIDES: draw_sides, choice.MISSING: missing_parts.draw}
    views.get(view, draw_training)()
except FusescopeError as told:
    parts.refusal(told, title="This cannot be shown")
parts.foot(services.machine().device)
