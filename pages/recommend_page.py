"""Ask with words, photos, a sound, a clip; see ranked products and what each contributed. Asks, calls once, shows."""

from __future__ import annotations

import logging
from dataclasses import replace

import streamlit as st

from core.domain import Modality, Notice, Query, Recommendation
from core.errors import FusescopeError, ModelError, TextError
from core.figures import contributions_figure, word_of
from pages.shared import media_parts, parts, questions, services, visit, wording
from pages.shared.theme import leading, literal

LIMITS = services.LIMITS
log = logging.getLogger("fusescope.pages")
SIDE_ROWS = 6
CARDS, SIDES, CHART, TABLE = "Cards", "Side by side", "Contributions", "Table"
ENDINGS = ["jpg", "jpeg", "png", "webp", "gif", "avif", "heic", "tif", "bmp", "svg", "pdf"]  # five to refuse in words


def draw_story(address: visit.Address) -> None:
    """The banner of a guided story: its steps and what to look at."""
    story = services.story(address.story)
    labels = [f"{number}. {step.label}" for number, step in enumerate(story.steps, start=1)]
    st.session_state[visit.STEP] = labels[address.step - 1]
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**:material/auto_stories: {literal(story.title)}**", width="content")
            if len(labels) > 1:
                st.segmented_control(
                    "Steps of the story", labels, key=visit.STEP, required=True, label_visibility="collapsed",
                    on_change=visit.go_to_step, args=(story.story_id,),
                )  # fmt: skip
            st.button(
                "Leave the story", key="recommend_leave", type="tertiary", icon=":material/close:",
                on_click=visit.start_afresh,
            )  # fmt: skip
        st.markdown(literal(story.steps[address.step - 1].look))


def draw_inputs() -> None:
    """Words, photos, options and the button; a press stores the query and opens it."""
    kept = services.photos_of(visit.kept_from("image"))
    text = st.text_area(
        wording.said("Words of a review"),
        key=visit.TEXT,
        height=130,
        placeholder="keeps tea hot for hours and goes into the dishwasher, lovely deep blue glaze",
        on_change="ignore",
        help=f"Up to {LIMITS.text_characters:,} characters are used. Words are cleaned, and mail and web addresses, "
        "phone, card and account numbers are masked before anything is stored.",
    )
    uploads = st.file_uploader(
        f"Photos, up to {LIMITS.query_photos}",
        type=ENDINGS,
        accept_multiple_files=True,
        max_upload_size=LIMITS.photo_bytes // 1_000_000,
        key=visit.uploader_key(),
        help="JPEG, PNG, WebP, GIF (first picture) or AVIF. Drop several at once. They are turned upright, stripped "
        "of place and camera data, and encoded anew.",
    )
    camera_on = st.toggle("Take a photo with the camera", key=visit.CAMERA_ON)
    shot = st.camera_input("Camera", key=visit.CAMERA, label_visibility="collapsed") if camera_on else None
    read = services.read_photos([(file.name, file.getvalue()) for file in (*uploads, shot) if file is not None])
    shown = (*kept, *read.photos)
    if shown:
        with st.container(horizontal=True, vertical_alignment="center", key="recommend_strip", gap="small"):
            parts.photo_strip(shown, [*(f"opened photo {n + 1}" for n in range(len(kept))), *read.names])
            if kept:
                st.button(
                    "Remove", key="recommend_drop", icon=":material/close:", type="tertiary",
                    on_click=visit.drop, args=("image",),
                    help="The next question goes without the photos of this one.",
                )  # fmt: skip
    media, said = media_parts.media_inputs(services.run_chosen(st.session_state.get(visit.RUN)))
    pressed = st.button(
        "Recommend", key=visit.GO, type=leading(), icon=":material/search:", shortcut="Ctrl+Enter", width="stretch"
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        run, user = draw_options()
        st.button("Start afresh", key="recommend_afresh", type="tertiary", on_click=visit.start_afresh)
    parts.message_cards((*read.notices, *said), narrow=True)
    if pressed:
        submit(text or "", shown, user, run, media)


def draw_options() -> tuple[str, str | None]:
    """Run, known user, number of cards: behind one button, because the defaults are right for a first look."""
    runs = services.runs()
    if not runs:
        raise ModelError("E-MODEL-EMPTY", "no trained run is here; make one: python -m core train --catalogue NAME")
    names = [run.run for run in runs]
    with st.popover("Options", icon=":material/tune:"):
        if st.session_state.get(visit.RUN) not in names:
            st.session_state.pop(visit.RUN, None)
        run = st.selectbox(
            "Run", names, key=visit.RUN, help="A trained model together with the catalogue it ranks.",
            persist_state="session",
        )  # fmt: skip
        catalogue = next((known.catalogue for known in runs if known.run == run), "")
        users = services.shop(catalogue).users if catalogue else ()
        if st.session_state.get(visit.USER) not in users:
            st.session_state.pop(visit.USER, None)
        user = st.selectbox(
            "Known user", users, index=None, key=visit.USER, placeholder="nobody known",
            help="Adds what this user liked before; their history is folded in, nothing is retrained.",
            persist_state="session",
        )  # fmt: skip
        st.segmented_control(
            wording.said("Products to show"), visit.TOPS, key=visit.TOP, required=True, persist_state="session",
            default=None if visit.TOP in st.session_state else visit.DEFAULT_TOP,
        )  # fmt: skip
    return run, user


def submit(
    text: str, photos: tuple[bytes, ...], user: str | None, run: str, media: dict[Modality, tuple[bytes, ...]]
) -> None:
    """Cleans, stores, opens. What cannot be used is said; what can be used is kept."""
    notices: tuple[Notice, ...] = ()
    if text.strip():
        try:
            text, notices = services.clean_words(text)
        except TextError as refused:
            text, notices = "", (Notice(code=refused.code, message=str(refused)),)
    if not text.strip() and not photos and not user and not any(media.values()):
        nothing = "nothing to go on yet; write a sentence, drop a photo or pick a known user, then press Recommend."
        parts.message_cards(notices or (Notice(code="E-TXT-EMPTY", message=nothing),), narrow=True)
        return
    wait = visit.seconds_to_wait(LIMITS.heavy_actions_a_minute)
    if wait:
        told = f"more than {LIMITS.heavy_actions_a_minute} questions in a minute; wait {wait:.0f} s, then ask again."
        parts.message_card(Notice(code="E-RATE-LIMIT", message=told), narrow=True)
        return
    try:
        sounds, clips = media.get("audio", ()), media.get("video", ())
        stored = services.ask(text, photos[: LIMITS.query_photos], user, run, sounds=sounds, clips=clips)
        asked = visit.Address(query=stored)
    except FusescopeError as refused:
        parts.refusal(refused, title="The question could not be stored")
        return
    visit.open_query(asked, Query(), run, keep_inputs=True)
    visit.remember_notices(notices)
    visit.go_to(asked)
    st.rerun()


def draw_empty() -> None:
    """Nothing asked yet."""
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown("#### Nothing asked yet", text_alignment="center")
        st.markdown(
            wording.said("Type what a review would say, drop one or more photos, or both. Or open a guided story:"),
            text_alignment="center",
        )
        with st.container(horizontal=True, horizontal_alignment="center"):
            for story in services.stories():
                st.button(
                    story.title, key=f"recommend_story_{story.story_id}", icon=":material/play_arrow:",
                    on_click=visit.go_to, args=(visit.Address(story=story.story_id),),
                )  # fmt: skip
        st.space("small")


def draw_query(query: Query, run: str, address: visit.Address) -> str:
    """Answers and draws; a refusal or a fault is drawn in the answer's place. Returns the device, "" without answer."""
    try:
        with (
            st.skeleton(height=420),
            st.spinner(
                f"{services.queue_line(run)}Reading, encoding, ranking. The first question also loads the model.",
                show_time=True,
            ),
        ):
            answer = services.answer(run, query)
    except FusescopeError as told:
        parts.refusal(told)
    except Exception:
        log.exception("a question failed")
        parts.failure()
    else:
        draw_answer(answer, address)
        return answer.device
    return ""


def draw_answer(answer: Recommendation, address: visit.Address) -> None:
    """Everything below the question."""
    shop = services.shop(answer.catalogue)
    told = {(notice.code, notice.message): notice for notice in (*visit.notices(), *answer.notices)}
    parts.message_cards(tuple(told.values()))
    if answer.distance and answer.distance.unlike_anything:
        parts.unlike_anything(answer.distance)
    draw_results(answer, shop, address)


@st.fragment
def draw_results(answer: Recommendation, shop: services.Shop, address: visit.Address) -> None:
    """Head line, sliders and the chosen view; a slider or a view re-runs this part alone."""
    top = st.session_state.get(visit.TOP) or visit.DEFAULT_TOP
    head = st.container()
    weights = draw_sliders(answer)
    reweighed = services.reweigh(answer, weights, shop)
    shown = replace(reweighed, items=reweighed.items[:top])
    with head:
        draw_head(shown, shop, address, changed=reweighed is not answer)
    views = [CARDS, SIDES, CHART, TABLE] if answer.players else [CARDS, TABLE]
    if st.session_state.get(visit.VIEW) not in views:
        st.session_state[visit.VIEW] = CARDS
    view = st.segmented_control("View", views, key=visit.VIEW, required=True, label_visibility="collapsed")
    if view == SIDES:
        draw_sides(shown, shop)
    elif view == CHART:
        draw_chart(shown, shop)
    elif view == TABLE:
        draw_table(shown, shop)
    else:
        draw_cards(shown, shop, address)


def draw_head(answer: Recommendation, shop: services.Shop, address: visit.Address, *, changed: bool) -> None:
    """How many of how many, and the small doors: time, method, link, download."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            wording.said(f"### {len(answer.items)} of {len(answer.item_ids):,} products")
            + (" :blue-badge[re-weighted by you]" if changed else ""),
            width="content",
        )
        if answer.search:
            st.caption(f"Search: {answer.search}.", width="content")
        with st.container(horizontal=True, width="content", gap="xsmall", vertical_alignment="center"):
            milliseconds = answer.timing_ms.get("total", 0.0)
            label = f"{milliseconds:.0f} ms on {parts.device_name(answer.device)}"
            with st.popover(label, icon=":material/timer:", type="tertiary"):
                parts.timing(answer)
            with st.popover("Method", icon=":material/help:", type="tertiary"):
                st.markdown(wording.said(parts.METHOD))
            with st.popover("Link", icon=":material/link:", type="tertiary"):
                draw_link(address)
            st.download_button(
                "CSV", services.csv_of(answer, shop), file_name="fusescope-ranking.csv", mime="text/csv",
                key="recommend_csv", icon=":material/download:", type="tertiary", on_click="ignore",
                help="What is shown, with scores, contributions, shares and gates unrounded.",
            )  # fmt: skip


def draw_link(address: visit.Address) -> None:
    """The address that brings this query back."""
    base = (st.context.url or "").split("?")[0]
    query = "&".join(f"{name}={value}" for name, value in address.as_parameters().items())
    top = st.session_state.get(visit.TOP) or visit.DEFAULT_TOP
    st.markdown("This address brings the query back, with its words, photos, sound, clip, run and user:")
    st.code(f"{base}?{query}&{visit.TOP}={top}", language=None, wrap_lines=True)
    questions.draw_keeping(address)


def draw_sliders(answer: Recommendation) -> dict[str, float]:
    """One weight a modality given; 1 is the model, 0 takes the modality away."""
    if len(answer.players) < 2:
        return {}
    weights = {}
    columns = st.columns([*(4 for _ in answer.players), 1], vertical_alignment="bottom", gap="medium")
    for column, player in zip(columns[:-1], answer.players, strict=True):
        key = visit.weight_key(player)
        st.session_state.setdefault(key, 1.0)
        weights[player] = column.slider(
            f"Weight of the {word_of(player)}", 0.0, 1.0, step=0.05, key=key,
            help="1 is the model as trained, 0 takes this modality away. In between: the expected score when it is "
            "present with this probability. The list re-ranks at once, nothing is computed anew.",
        )  # fmt: skip
    columns[-1].button(
        "Reset", key="recommend_weights_back", icon=":material/restart_alt:", type="tertiary",
        on_click=visit.restore_weights, args=(answer.players,), help="All back to 1, the model as trained.",
    )  # fmt: skip
    return weights


def draw_cards(answer: Recommendation, shop: services.Shop, address: visit.Address) -> None:
    """The products, best first."""
    if answer.players and answer.items:
        gates = parts.gates_line(answer.items[0], answer.players) if answer.scope == "query" else ""
        st.markdown("  \n".join(filter(None, [parts.bars_line(answer), gates])))
    grid = st.grid(4, min_column_width=150, gap="small", border=True)
    for item in answer.items:
        with grid.cell(), st.container(gap="xsmall"):
            picture = services.picture(shop, item.item_id, 320)
            parts.card(item, shop.items.get(item.item_id), picture, answer.players)
            st.page_link(
                "pages/explain_page.py", label="Why?", icon=":material/biotech:",
                query_params={**address.as_parameters(), "explain_item": item.item_id},
            )  # fmt: skip


def draw_sides(answer: Recommendation, shop: services.Shop) -> None:
    """Every modality alone beside everything together, and who moved."""
    *alone, together = services.standings(answer)
    if not alone:
        given = parts.listed([word_of(player) for player in answer.players])
        st.caption(f"Only {given} was given, so there is nothing to compare with.")
    shown = {item_id for column in (*alone, together) for item_id in column.order[:SIDE_ROWS]}
    pictures = {item_id: services.picture(shop, item_id, 96) for item_id in shown}
    for place, column in zip(
        st.columns(len(alone) + 1, gap="small", border=True), (*alone, together), strict=True
    ):  # fmt: skip
        with place:
            parts.standing(column, together, alone, shop.titles, pictures, rows=SIDE_ROWS)


def draw_chart(answer: Recommendation, shop: services.Shop) -> None:
    """Signed contributions of all products shown, with a table twin."""
    as_table = st.toggle("Show as table", key=visit.AS_TABLE)
    if as_table:
        draw_table(answer, shop)
        return
    leader = answer.items[0]
    st.plotly_chart(
        contributions_figure(answer.items, answer.players),
        key="recommend_contributions",
        config={"displaylogo": False, "showSendToCloud": False},
        alt=wording.said(f"Stacked bars of signed contributions for {len(answer.items)} products; the first, ")
        + f"{leader.title}: "
        + parts.share_alt(leader, answer.players),
    )


def draw_table(answer: Recommendation, shop: services.Shop) -> None:
    """The same numbers as text."""
    rows = services.rows_of(answer, shop)
    number, bar = st.column_config.NumberColumn, st.column_config.ProgressColumn
    columns = {
        "rank": number("rank", width="small"),
        "score": number("score", format="%.3f"),
        "price": number(wording.words().price, format="%.2f"),
        "base": number("empty query", format="%.3f"),
        "item_id": None,
        "run": None,
        "catalogue": None,
        "device": None,
    }
    for player in answer.players:
        word = word_of(player)
        columns[f"phi_{player}"] = number(f"{word}: contribution", format="%+.3f")
        columns[f"share_{player}"] = bar(f"{word}: share", min_value=0, max_value=1, format="percent")
        columns[f"gate_{player}"] = number(f"{word}: gate", format="%.2f")
    st.dataframe(
        rows, hide_index=True, column_config=columns, key="recommend_table", height="content",
        alt=wording.said(f"Table of the {len(rows)} products shown with score, contributions, shares and gates"),
    )  # fmt: skip


address, address_notices = visit.address()
if not address:
    address = visit.return_to_last()
query, run, refused = None, "", None
if address:
    try:
        query, run = services.recall(address.query, address.story, address.step)
        if not visit.is_open(address):
            view = services.story(address.story).steps[address.step - 1].view if address.story else ""
            visit.open_query(address, query, run, view=view)
    except FusescopeError as unknown:
        refused = unknown

st.header("Recommend", anchor=False)
wording.use_run(services.run_chosen(run or st.session_state.get(visit.RUN)))
parts.message_cards((*visit.told_anew(), *address_notices), refused=False)
if refused:
    parts.refusal(refused, title="This address leads nowhere")
if query and address.story:
    draw_story(address)
asking, answering = st.columns([1, 3], gap="medium")
with asking:
    try:
        draw_inputs()
    except FusescopeError as missing:
        parts.refusal(missing, title="Nothing can be asked")
with answering:
    device = services.machine().device
    if query is None:
        draw_empty()
    else:
        device = draw_query(query, run, address) or device
parts.foot(device)
