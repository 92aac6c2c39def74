"""One recommendation under the microscope: why this product, why not that one, what if, and how far to trust it."""

from __future__ import annotations

import logging

import streamlit as st

from core.domain import Query, Recommendation
from core.errors import AddressError, FusescopeError
from core.figures import shorten, word_of
from pages.shared import (
    explain_bench,
    explain_media,
    explain_parts,
    explain_services,
    explain_visit,
    parts,
    services,
    visit,
    wording,
)
from pages.shared.theme import literal, named

log = logging.getLogger("fusescope.pages")
PARTS, TRUST, WHY_NOT, WHAT_IF, FACTS, USED = (
    "Words, photos, moments", "How far to trust it", "Why not that one", "What if", "Users, facts, causes",
    "Is it used?",
)  # fmt: skip
MOST_LISTED = 2000  # products in the box of "why not"; of a larger catalogue those of the answer
VALUES = {"score": "Score", "rank": "Rank", "top_k": "First ten"}


def draw_empty() -> None:
    """Nothing asked yet."""
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown("#### Nothing to explain yet", text_alignment="center")
        st.markdown(
            wording.said("Ask a question first, then press **Why?** under a product. Or look into a guided story:"),
            text_alignment="center",
        )
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.page_link("pages/recommend_page.py", label="Ask a question", icon=":material/search:")
            for story in services.stories():
                st.page_link(
                    "pages/explain_page.py", label=story.title, icon=":material/play_arrow:",
                    query_params=visit.Address(story=story.story_id).as_parameters(),
                )  # fmt: skip
        st.space("small")


def choose_item(answer: Recommendation, shop: services.Shop) -> str:
    """The product box: the first products of the answer, and the one that the address names."""
    wanted = explain_visit.address_item()
    if wanted and wanted not in shop.items:
        message = wording.said("there is no product ")
        message += f'"{wanted[:80]}" in this catalogue. Choose one above, or ask again.'
        raise AddressError("E-URL-ITEM", message)
    item_id = wanted or answer.items[0].item_id
    labels = {f"{one.rank}. {shorten(one.title, 60)}": one.item_id for one in answer.items}
    if item_id not in labels.values():
        labels[shorten(shop.titles[item_id], 60)] = item_id
    label = next(name for name, own in labels.items() if own == item_id)
    st.session_state[explain_visit.ITEM] = label
    st.selectbox(
        wording.said("Product to explain"),
        list(labels), key=explain_visit.ITEM, on_change=explain_visit.choose, args=(labels,),
        help="The first of the answer. Any other one can be opened by its address.",
    )  # fmt: skip
    return item_id


def draw_question(query: Query, scope: explain_services.Microscope, shop: services.Shop) -> None:
    """What is explained: the question, or the product's own words and photos before a known user."""
    if query.user:
        st.markdown(f":small[:gray[known user] **{literal(query.user)}**]")
    if scope.scorer.scope == "query":
        if query.text:
            st.markdown(f":gray[*“{literal(shorten(query.text, 300))}”*]")
        shown = explain_services.photos(scope, shop)
        if shown:
            with st.container(horizontal=True, gap="small"):
                parts.photo_strip(shown, [f"photo {number}" for number in range(1, len(shown) + 1)])
    else:
        st.caption(wording.said("Nothing was asked but for whom: what is known of the product itself is switched."))
    explain_media.players(scope, shop)


@st.fragment
def draw_split(scope: explain_services.Microscope) -> None:
    """The contributions, exact, and everything that is said about them."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        value = st.segmented_control(
            "Split", list(VALUES), format_func=VALUES.get, key=explain_visit.VALUE, default="score", required=True,
            help="Of the score, of the rank, or of being among the first ten. The three may disagree.",
        )  # fmt: skip
        baseline = st.selectbox(
            "Taken away means", list(explain_services.baselines()), key=explain_visit.BASELINE, width=210,
            format_func=explain_services.baselines().get,
            help="What stands where a modality is taken away. Others of the catalogue: the mean over up to 20, seed 0.",
        )  # fmt: skip
        as_table = st.toggle("Show as table", key=explain_visit.AS_TABLE)
    other = choose_stand_in(scope) if baseline == explain_services.ANOTHER else None
    try:
        found = scope.contributions("absent" if other else str(baseline), other)
    except FusescopeError as refused:
        parts.refusal(refused, title="This cannot be taken away here")
        return
    chosen = found[str(value)]
    if not chosen.accepted:
        told = f"the parts do not add up to the printed score (residual {chosen.residual:+.2e}), so no bar is shown."
        parts.refusal(AddressError("E-MODEL-SUM", told), title="This account is not accepted")
        return
    explain_parts.split_chart(chosen, str(value), scope.scorer.scope, as_table)
    explain_parts.small_print(scope, chosen, scope.sensitivity())


def choose_stand_in(scope: explain_services.Microscope) -> str:
    """The item whose media stand where a modality is taken away."""
    items = scope.pipeline.catalogue.items[:MOST_LISTED]
    titles = {one.item_id: shorten(one.title or one.item_id, 60) for one in items}
    return str(st.selectbox(
        "Which one stands in", [one for one in titles if one != scope.item_id], key=explain_visit.STAND_IN,
        format_func=titles.get, help="What it does not have is absent.",
    ))  # fmt: skip


def choose_method(scope: explain_services.Microscope) -> str:
    """The method box, and under it which methods did better than chance on this case."""
    infos = {one.title: one for one in explain_services.methods()}
    verdicts = scope.verdicts()
    usable = [title for title, one in infos.items() if one.name in verdicts or one.slow]
    if st.session_state.get(explain_visit.METHOD) not in usable:
        st.session_state.pop(explain_visit.METHOD, None)
    title = str(st.selectbox(
        "Method", usable, key=explain_visit.METHOD, width=300,
        help="Each gives every word, patch, moment and frame a weight. Slow ones are measured when they are chosen.",
    ))  # fmt: skip
    st.caption(infos[title].tells)
    signs = []
    for one in infos.values():
        if one.name in verdicts:
            passed = all(verdict.passed for verdict in verdicts[one.name].values())
            signs.append(f":green[✓ {one.title}]" if passed else f":gray[✕ {one.title} fails here]")
    st.markdown(":small[" + " · ".join(signs) + "]")
    return infos[title].name


@st.fragment
def draw_parts(scope: explain_services.Microscope, shop: services.Shop) -> None:
    """Words, photos, sounds and clips under their weights."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        with st.container(width="content"):
            method = choose_method(scope)
        opacity = st.slider(
            "Strength of the overlay", 0.0, 1.0, 0.75, 0.05, key=explain_visit.OPACITY, width=220,
            help="0 shows the photo alone.",
        )  # fmt: skip
        as_table = st.toggle("Show as table", key=explain_visit.WORDS_TABLE)
    weights = scope.weights(method)
    verdicts = scope.verdicts(method).get(method, {})
    if weights is None:
        st.caption("This method does not apply to this model.")
        return
    st.markdown("  \n".join(f":small[{explain_parts.verdict_line(m, one)}]" for m, one in verdicts.items()))
    explain_parts.legend()
    if as_table:
        explain_parts.weight_table(scope, weights)
        explain_media.moment_tables(scope, weights)
        return
    if method == "attention":
        weights = explain_bench.choose_map(scope, weights)
    both = {"text", "image"} <= set(weights)
    word, patch = explain_bench.choose_touched(scope) if both else (None, None)
    left, right = st.columns(2, gap="medium") if both else (st.container(), st.container())
    failed = {m for m, one in verdicts.items() if not one.passed}
    if failed and method == "attention":
        st.caption("In greys: attention, not an explanation. The reason stands above.")
    if "text" in weights:
        with left:
            draw_words(scope, weights, patch, grey="text" in failed)
    if "image" in weights:
        with right:
            draw_photos(scope, shop, weights, opacity, word, grey="image" in failed)
    for m in explain_media.HEARD_AND_SEEN:
        if m in weights:
            explain_media.draw_moments(scope, shop, weights, m, grey=m in failed)


def heading(modality: str, weights: dict) -> str:
    most = abs(weights[modality]).max(initial=0.0)
    return f"**{named(modality)}** :small[:gray[full colour is {most:.3f} of score a part]]"


def draw_words(scope: explain_services.Microscope, weights: dict, touched: int | None, *, grey: bool) -> None:
    st.markdown(heading("text", weights))
    own = explain_services.scaled(weights, "text")
    if touched is not None:
        between, how = scope.between("image", "text")
        own = explain_services.scaled({"text": between[touched]}, "text")
        told = "what it read in the words" if how == "attention" else "where it only works together with the words"
        st.caption(f"For the patch in {scope.scorer.units['image'].names[touched]}: {told}.")
    explain_parts.words(scope, own, grey=grey and touched is None)
    if grey and touched is None:
        st.caption(explain_media.GREYED.format(word="words"))


def draw_photos(
    scope: explain_services.Microscope, shop: services.Shop, weights: dict, opacity: float, touched: int | None, *,
    grey: bool,
) -> None:  # fmt: skip
    st.markdown(heading("image", weights))
    own = explain_services.scaled(weights, "image")
    if touched is not None:
        between, how = scope.between("text", "image")
        own = explain_services.scaled({"image": between[touched]}, "image")
        word = scope.scorer.units["text"].names[touched]
        told = "what it read in the photo" if how == "attention" else "where it only works together with the photo"
        st.caption(f"For the word “{literal(word)}”: {told}.")
    elif grey:
        st.caption(explain_media.GREYED.format(word="photo"))
    photos = explain_services.photos(scope, shop)
    for number, photo in enumerate(photos):
        explain_parts.photo(scope, photo, own, number, opacity, grey=grey and touched is None)


@st.fragment
def draw_trust(scope: explain_services.Microscope) -> None:
    """Every method against chance and against random models, a modality at a time."""
    if not scope.players:
        st.caption("This ranker reads nothing that could be taken away here, so there is nothing to test.")
        return
    infos = {one.name: one for one in explain_services.methods()}
    verdicts = scope.verdicts()
    titles = {name: one.title for name, one in infos.items()}
    m = str(st.segmented_control(
        "Modality", scope.players, format_func=word_of, key="explain_trust_modality", default=scope.players[0],
        required=True,
    ))  # fmt: skip
    as_table = st.toggle("Show as table", key="explain_trust_table")
    rows = explain_parts.trust_rows(verdicts, titles, m)
    if not rows:
        st.caption(f"Taking the {word_of(m)} away does not change this score, so there is nothing to test.")
        return
    explain_parts.trust_chart(rows, m, as_table)
    tested = [name for name, one in verdicts.items() if m in one and one[m].trial is not None]
    chosen = st.selectbox("Curves of", tested, format_func=titles.get, key="explain_trust_method", width=300)
    if chosen:
        explain_parts.curve_charts(verdicts[chosen][m], titles[chosen], m, as_table)
    st.caption(
        "Masked at the token states, 20 random orders, seed 0; 3 random models. Only the order of parts is tested, and "
        "what is left after taking parts away is unlike anything the model was trained on."
    )
    audit = explain_services.verdict_of_run(scope.pipeline.run)
    if audit is None:
        st.markdown(f"For the whole run nobody has measured yet: `python -m core audit --run {scope.pipeline.run}`")
    else:
        told = explain_parts.run_verdicts(audit, titles)
        st.markdown(f"**The whole run**, {audit['cases']} cases, by {audit['told']}:  \n" + "  \n".join(told))


@st.fragment
def draw_why_not(scope: explain_services.Microscope, answer: Recommendation, shop: services.Shop) -> None:
    """The difference of two products' scores, over modalities, words and patches."""
    labels = {one.item_id: f"{one.rank}. {shorten(one.title, 60)}" for one in answer.items}
    if len(shop.titles) <= MOST_LISTED:
        labels |= {one: shorten(title, 60) for one, title in shop.titles.items() if one not in labels}
    others = [one for one in labels if one != scope.item_id]
    other = st.selectbox(
        "Why not", others, key=explain_visit.OTHER, format_func=labels.get, help="What to compare with."
    )  # fmt: skip
    if other is None:
        return
    found, weights = scope.why_not(other)
    own, theirs = shop.titles[scope.item_id], shop.titles[other]
    ahead = "ahead of" if found.full >= 0 else "behind"
    st.markdown(f"**{literal(own)}** is {abs(found.full):.3f} {ahead} **{literal(theirs)}**.")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        explain_parts.difference_chart(found, own, theirs)
        if weights is not None and "text" in weights:
            st.caption("Green words spoke for the first, purple ones for the second." if scope.scorer.scope == "query"
                       else wording.said("The words of the first product before this user."))  # fmt: skip
            explain_parts.words(scope, explain_services.scaled(weights, "text"))
    with right:
        if weights is not None and "image" in weights:
            own_weights = explain_services.scaled(weights, "image")
            for number, photo in enumerate(explain_services.photos(scope, shop)):
                explain_parts.photo(scope, photo, own_weights, number, 0.75)
    for m in explain_media.HEARD_AND_SEEN:
        if weights is not None and m in weights:
            explain_media.draw_moments(scope, shop, weights, m)
    if st.toggle("Show as table", key="explain_difference_table"):
        explain_parts.difference_table(found)
        if weights is not None:
            explain_parts.weight_table(scope, weights)


def draw_case(query: Query, run: str, answer: Recommendation, shop: services.Shop) -> None:
    """Everything about one product of one answer."""
    item_id = choose_item(answer, shop)
    with st.spinner("Looking closely", show_time=True):
        scope = explain_services.microscope(run, query, item_id)
    explain_visit.start_bench(f"{run} {item_id} {hash(query)}", query.text)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        explain_parts.product(scope, shop, answer)
        draw_question(query, scope, shop)
    with right:
        draw_split(scope)
    views = [PARTS, TRUST, WHY_NOT, WHAT_IF, FACTS, USED]
    view = st.segmented_control(
        "View", views, key=explain_visit.VIEW, default=PARTS, required=True, label_visibility="collapsed"
    )
    if view == TRUST:
        draw_trust(scope)
    elif view == WHY_NOT:
        draw_why_not(scope, answer, shop)
    elif view == WHAT_IF:
        explain_bench.draw_bench(scope, run, answer, shop)
    elif view == FACTS:
        explain_bench.draw_facts(scope)
    elif view == USED:
        explain_bench.draw_used(explain_services.verdict_of_run(run), run)
    else:
        draw_parts(scope, shop)


def draw_page() -> str:
    """Returns the device, or where this machine would compute."""
    address, notices = visit.address()
    if not address:
        address = visit.return_to_last()
    parts.message_cards(notices, refused=False)
    device = services.machine().device
    try:
        if not address:
            draw_empty()
            return device
        query, run = services.recall(address.query, address.story, address.step)
        wording.use_run(run)
        with st.skeleton(height=420), st.spinner("Asking the question again", show_time=True):
            answer = services.answer(run, query)
        draw_case(query, run, answer, services.shop(answer.catalogue))
        return answer.device
    except AddressError as unknown:
        parts.refusal(unknown, title="This address leads nowhere")
    except FusescopeError as told:
        parts.refusal(told, title="This cannot be explained")
    except Exception:
        log.exception("an explanation failed")
        parts.failure()
    return device


head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
head.header("Explain", anchor=False, width="content")
place = draw_page()
with head.popover("Method", icon=":material/help:", type="tertiary"):  # in the words that the page has chosen by now
    st.markdown(wording.said(explain_parts.METHOD))
parts.foot(place)
